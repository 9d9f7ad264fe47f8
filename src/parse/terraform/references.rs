//! What attributes of resources refer to, by the configuration in a plan.

use std::collections::HashMap;

use serde_json::Value;

use super::Resource;

/// References of a configuration, by module.
#[derive(Default)]
pub(super) struct References {
    /// By a module's address without keys, and what is in it: `TYPE.NAME.attribute`, `module.NAME.variable` of a call,
    /// `output.NAME`.
    of: HashMap<(String, String), Vec<String>>,
}

/// References of references: more of them lead nowhere.
const DEEPEST: usize = 16;

impl References {
    pub(super) fn new(plan: &Value) -> Self {
        let mut references = Self::default();
        if let Some(root) = plan.pointer("/configuration/root_module") {
            references.module(root, "");
        }
        references
    }

    fn module(&mut self, module: &Value, address: &str) {
        for resource in module.get("resources").and_then(Value::as_array).into_iter().flatten() {
            let Some(name) = resource.get("address").and_then(Value::as_str) else { continue };
            self.enter(address, name, resource.get("expressions"));
        }
        let calls = module.get("module_calls").and_then(Value::as_object);
        for (name, call) in calls.into_iter().flatten() {
            let name = format!("module.{name}");
            self.enter(address, &name, call.get("expressions"));
            let Some(inner) = call.get("module") else { continue };
            let inside = join(address, &name);
            for (output, of) in
                inner.get("outputs").and_then(Value::as_object).into_iter().flatten()
            {
                if let Some(expression) = of.get("expression") {
                    self.of
                        .insert((inside.clone(), format!("output.{output}")), listed(expression));
                }
            }
            self.module(inner, &inside);
        }
    }

    fn enter(&mut self, module: &str, name: &str, expressions: Option<&Value>) {
        for (attribute, expression) in expressions.and_then(Value::as_object).into_iter().flatten()
        {
            let key = (module.to_owned(), format!("{name}.{attribute}"));
            self.of.insert(key, listed(expression));
        }
    }

    fn get(&self, module: &str, name: &str) -> &[String] {
        let key = (without_keys(module), name.to_owned());
        self.of.get(&key).map_or(&[], Vec::as_slice)
    }

    /// Whether the configuration sets an attribute of a resource at all.
    pub(super) fn sets(&self, address: &str, attribute: &str) -> bool {
        let (module, name) = split(address);
        let key = (without_keys(module), format!("{}.{attribute}", without_keys(name)));
        self.of.contains_key(&key)
    }

    /// The resources of a type that an attribute of a resource can refer to, each instance.
    pub(super) fn referred<'r>(
        &self,
        index: &Index<'r>,
        from: &str,
        attribute: &str,
        kinds: &[&str],
    ) -> Vec<&'r Resource<'r>> {
        let (module, name) = split(from);
        let targets = self.get(module, &format!("{}.{attribute}", without_keys(name)));
        let mut found = Vec::new();
        for target in targets {
            for (module, target) in self.resolved(module, target, 0) {
                let kind = target.split('.').next().unwrap_or_default();
                if kinds.contains(&kind) {
                    found.extend(index.instances(&module, &target, from));
                }
            }
        }
        // The cloud's id of a group may be made in a local of the module, of which the configuration does not speak;
        // a module with one group means that one.
        if found.is_empty()
            && !module.is_empty()
            && targets.iter().any(|of| of.starts_with("local."))
        {
            let all = index.modules.get(module).into_iter().flatten().copied();
            let mine: Vec<_> = all.filter(|of| kinds.contains(&of.kind.as_str())).collect();
            if mine.len() == 1 {
                found = mine;
            }
        }
        found.sort_by(|a, b| a.address.cmp(&b.address));
        found.dedup_by(|a, b| a.address == b.address);
        found
    }

    /// Resources that a reference leads to, through variables and outputs: the module, and `TYPE.NAME` there.
    fn resolved(&self, module: &str, target: &str, depth: usize) -> Vec<(String, String)> {
        if depth > DEEPEST {
            return Vec::new();
        }
        let steps = steps(target);
        let all = |module: &str, targets: &[String]| {
            let each = targets.iter().flat_map(|target| self.resolved(module, target, depth + 1));
            each.collect::<Vec<_>>()
        };
        match steps.as_slice() {
            ["var", name, ..] => {
                let (above, call) = last_module(module);
                all(above, self.get(above, &format!("{}.{}", without_keys(call), plain(name))))
            }
            ["module", call, output, ..] => {
                let inside = join(module, &format!("module.{call}"));
                all(&inside, self.get(&inside, &format!("output.{}", plain(output))))
            }
            [
                "module" | "local" | "each" | "count" | "data" | "path" | "self" | "terraform",
                ..,
            ] => Vec::new(),
            [kind, name, ..] => vec![(module.to_owned(), format!("{kind}.{name}"))],
            _ => Vec::new(),
        }
    }
}

/// Resources by what references name. A plan has as many of both, so none of them may go over all of the others.
#[derive(Default)]
pub(super) struct Index<'r> {
    addresses: HashMap<&'r str, Vec<&'r Resource<'r>>>,
    /// By module, and by the rest of the address without keys.
    names: HashMap<(String, String), Vec<&'r Resource<'r>>>,
    modules: HashMap<&'r str, Vec<&'r Resource<'r>>>,
}

impl<'r> Index<'r> {
    pub(super) fn new(resources: &'r [Resource<'r>]) -> Self {
        let mut index = Self::default();
        for resource in resources {
            let (module, name) = split(&resource.address);
            let key = (module.to_owned(), without_keys(name));
            index.addresses.entry(&resource.address).or_default().push(resource);
            index.names.entry(key).or_default().push(resource);
            index.modules.entry(module).or_default().push(resource);
        }
        index
    }

    /// The instances of a resource in a module that a reference without a key can mean: the one with the same key as
    /// the resource that refers, if there is one.
    fn instances(&self, module: &str, target: &str, from: &str) -> Vec<&'r Resource<'r>> {
        let named = self.names.get(&(module.to_owned(), target.to_owned()));
        // One with a key.
        let exact = || self.addresses.get(join(module, target).as_str());
        let all: Vec<&'r Resource<'r>> =
            named.or_else(exact).into_iter().flatten().copied().collect();
        let key = |address: &str| {
            let (_, name) = split(address);
            name.find('[').map(|at| name.split_at(at).1.to_owned())
        };
        let same = all
            .iter()
            .copied()
            .filter(|of| key(&of.address).is_some() && key(&of.address) == key(from));
        let same: Vec<_> = same.collect();
        if all.len() > 1 && same.len() == 1 { same } else { all }
    }
}

/// All references of an expression, of blocks in it too.
fn listed(expression: &Value) -> Vec<String> {
    match expression {
        Value::Object(map) => match map.get("references").and_then(Value::as_array) {
            Some(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            None => map.values().flat_map(listed).collect(),
        },
        Value::Array(all) => all.iter().flat_map(listed).collect(),
        _ => Vec::new(),
    }
}

/// The steps of an address, with the keys that are in brackets: `module`, `svc["a.b"]`, `aws_instance`, `db`.
fn steps(address: &str) -> Vec<&str> {
    let (mut found, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, c) in address.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            '.' if depth == 0 => {
                found.extend(address.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    found.extend(address.get(start..));
    found
}

/// `svc` of `svc["a"]`
fn plain(step: &str) -> &str {
    step.split('[').next().unwrap_or(step)
}

/// An address without its keys.
pub(super) fn without_keys(address: &str) -> String {
    steps(address).into_iter().map(plain).collect::<Vec<_>>().join(".")
}

/// The module of a resource's address, and the rest of it.
pub(super) fn split(address: &str) -> (&str, &str) {
    let steps = steps(address);
    let mut length = 0;
    for pair in steps.chunks(2) {
        match pair {
            ["module", name] => length += "module.".len() + name.len() + 1,
            _ => break,
        }
    }
    let module = address.get(..length.saturating_sub(1)).unwrap_or_default();
    (module, address.get(length..).unwrap_or_default())
}

/// The module above another, and the last step.
fn last_module(module: &str) -> (&str, &str) {
    let steps = steps(module);
    let [.., _, name] = steps.as_slice() else { return ("", "") };
    let last = "module.".len() + name.len();
    let at = module.len().saturating_sub(last);
    let above = module.get(..at.saturating_sub(1)).unwrap_or_default();
    (above, module.get(at..).unwrap_or_default())
}

fn join(module: &str, rest: &str) -> String {
    if module.is_empty() { rest.to_owned() } else { format!("{module}.{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let address = "module.a[\"x.y\"].module.b[0].aws_security_group.this[\"k.l\"]";
        let (module, name) = split(address);
        assert_eq!(
            (module, name),
            ("module.a[\"x.y\"].module.b[0]", "aws_security_group.this[\"k.l\"]")
        );
        assert_eq!(without_keys(address), "module.a.module.b.aws_security_group.this");
        assert_eq!(last_module(module), ("module.a[\"x.y\"]", "module.b[0]"));
        assert_eq!(last_module("module.a"), ("", "module.a"));
        assert_eq!(split("aws_security_group.web"), ("", "aws_security_group.web"));
    }
}
