//! References of attributes to resources, by the configuration in a plan.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::address::{join, last_module, plain, split, steps, without_keys};
use super::index::Index;
use super::kinds::cloud_of;
use super::resource::Resource;
use crate::rules::parse_cidr_as_written;

/// References of a configuration, by module.
#[derive(Default)]
pub(super) struct References<'v> {
    /// By a module's address without keys, and what is in it: `TYPE.NAME.attribute`, `module.NAME.variable` of a call,
    /// `output.NAME`, `var.NAME` for its default. `for_each` is under its name like an attribute, and an attribute of a
    /// block as in `TYPE.NAME.block[0].attribute`.
    of: HashMap<(String, String), Expression<'v>>,
    /// By a resource or call in the same way: those that are there, and how many blocks of a name each has.
    blocks: HashMap<(String, String), HashMap<&'v str, usize>>,
    /// Modules by their addresses without keys, and whether nothing else than groups and rules of AWS is in one.
    plain_modules: HashMap<String, bool>,
    /// The variables that a call sets, in the same way.
    calls: HashMap<String, Vec<&'v str>>,
}

/// What an expression refers to, or what it comes to.
#[derive(Clone, Default)]
struct Expression<'v> {
    references: Vec<&'v str>,
    constant: Option<&'v Value>,
}

/// What the references of one attribute lead to.
#[derive(Default)]
pub(super) struct Leads<'r> {
    /// The resources of the types that were asked for, each instance.
    pub(super) found: Vec<&'r Resource<'r>>,
    /// A value that the plan knows, and that can be an id, is among them.
    pub(super) has_known: bool,
    /// What was found is what a local can only be, if it is one value that is not known.
    pub(super) is_deduced: bool,
    /// Of some of them nobody can say what they come to.
    pub(super) has_others: bool,
}

/// Where one reference leads.
enum Lead<'v> {
    /// To a resource: its module, `TYPE.NAME` there, and whether it has the key of the resource that refers.
    Resource { module: String, target: String, by_key: bool },
    /// To a value that the plan knows, though it may not show it.
    Known(Option<&'v Value>),
    /// To a local of a module, of which no plan says anything.
    Local(String),
    /// To an attribute of a resource of that type that is no name of it.
    Attribute(&'v str, &'v str),
    /// Nobody can say.
    Unknown,
}

/// A reference, and whose it is: that stands in a module, and `each` in it is that of its own `for_each`.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Step<'v> {
    module: String,
    owner: String,
    target: &'v str,
    by_key: bool,
}

/// Attributes by which resources are referred to. Another one of a group is not that group.
const NAMES: [&str; 5] = ["id", "name", "self_link", "arn", "security_group_id"];

/// More references than this lead nowhere that anybody could follow.
const MOST_STEPS: usize = 100_000;

impl<'v> References<'v> {
    pub(super) fn new(plan: &'v Value) -> Self {
        let mut references = Self::default();
        if let Some(root) = plan.pointer("/configuration/root_module") {
            references.module(root, "");
        }
        let given = plan.get("variables").and_then(Value::as_object);
        for (name, variable) in given.into_iter().flatten() {
            let constant = variable.get("value");
            let key = (String::new(), format!("var.{name}"));
            references.of.insert(key, Expression { constant, ..Expression::default() });
        }
        references
    }

    fn module(&mut self, module: &'v Value, address: &str) {
        let resources = || module.get("resources").and_then(Value::as_array).into_iter().flatten();
        let is_plain = resources().all(|of| {
            let kind = of.get("type").and_then(Value::as_str).unwrap_or_default();
            of.get("mode").and_then(Value::as_str) == Some("managed")
                && kind.starts_with("aws_")
                && cloud_of(kind).is_some()
        });
        let has_calls = module.get("module_calls").is_some();
        self.plain_modules.insert(address.to_owned(), is_plain && !has_calls);
        let variables = module.get("variables").and_then(Value::as_object);
        for (name, variable) in variables.into_iter().flatten() {
            let constant = variable.get("default");
            let key = (address.to_owned(), format!("var.{name}"));
            self.of.insert(key, Expression { constant, ..Expression::default() });
        }
        for resource in resources() {
            let Some(name) = resource.get("address").and_then(Value::as_str) else { continue };
            self.enter(address, name, resource);
        }
        let calls = module.get("module_calls").and_then(Value::as_object);
        for (name, call) in calls.into_iter().flatten() {
            let name = format!("module.{name}");
            self.enter(address, &name, call);
            let Some(inner) = call.get("module") else { continue };
            let inside = join(address, &name);
            let given = call.get("expressions").and_then(Value::as_object);
            let given = given.into_iter().flatten().map(|(key, _)| key.as_str()).collect();
            self.calls.insert(inside.clone(), given);
            for (output, of) in
                inner.get("outputs").and_then(Value::as_object).into_iter().flatten()
            {
                if let Some(expression) = of.get("expression") {
                    let key = (inside.clone(), format!("output.{output}"));
                    self.of.insert(key, Expression::new(expression));
                }
            }
            self.module(inner, &inside);
        }
    }

    /// The expressions of a resource or a call.
    fn enter(&mut self, module: &str, name: &str, of: &'v Value) {
        let expressions = of.get("expressions").and_then(Value::as_object);
        let expressions = expressions.into_iter().flatten().map(|(key, of)| (key.as_str(), of));
        let each = of.get("for_each_expression").map(|of| ("for_each", of));
        let mut blocks = HashMap::new();
        for (attribute, expression) in expressions.chain(each) {
            let key = |way: String| (module.to_owned(), format!("{name}.{attribute}{way}"));
            for (n, block) in expression.as_array().into_iter().flatten().enumerate() {
                for (inner, of) in block.as_object().into_iter().flatten() {
                    self.of.insert(key(format!("[{n}].{inner}")), Expression::new(of));
                }
                blocks.insert(attribute, n + 1);
            }
            self.of.insert(key(String::new()), Expression::new(expression));
        }
        self.blocks.insert((module.to_owned(), name.to_owned()), blocks);
    }

    fn get(&self, module: &str, name: &str) -> Option<&Expression<'v>> {
        self.of.get(&(without_keys(module), name.to_owned()))
    }

    /// How many blocks of a name the configuration has for a resource.
    pub(super) fn blocks(&self, address: &str, name: &str) -> Option<usize> {
        let (module, resource) = split(address);
        let of = self.blocks.get(&(without_keys(module), without_keys(resource)))?;
        of.get(name).copied()
    }

    /// Whether there is a configuration for a resource.
    pub(super) fn configures(&self, address: &str) -> bool {
        let (module, name) = split(address);
        self.blocks.contains_key(&(without_keys(module), without_keys(name)))
    }

    /// Whether the configuration sets an attribute of a resource at all.
    pub(super) fn sets(&self, address: &str, attribute: &str) -> bool {
        let (module, name) = split(address);
        self.get(module, &format!("{}.{attribute}", without_keys(name))).is_some()
    }

    /// What an attribute of a resource can refer to. What is of one of the other types is another attribute's.
    pub(super) fn leads<'r>(
        &self,
        index: &Index<'r>,
        from: &str,
        attribute: &str,
        kinds: &[&str],
        other_kinds: &[&str],
    ) -> Leads<'r> {
        let (module, name) = split(from);
        let name = without_keys(name);
        let Some(expression) = self.get(module, &format!("{name}.{attribute}")) else {
            return Leads { has_others: true, ..Leads::default() };
        };
        let mut leads = Leads::default();
        for lead in self.resolved(module, &name, expression) {
            match lead {
                Lead::Local(of) if of == module => leads.is_deduced = true,
                Lead::Resource { module, target, by_key } => {
                    let kind = target.split('.').next().unwrap_or_default();
                    if kinds.contains(&kind) {
                        let found = index.instances(&module, &target, from, by_key);
                        leads.has_others |= found.is_empty();
                        leads.found.extend(found);
                    } else {
                        leads.has_others |= !other_kinds.contains(&kind);
                    }
                }
                Lead::Known(value) => leads.has_known |= value.is_none_or(can_be_id),
                Lead::Local(_) | Lead::Attribute(..) | Lead::Unknown => leads.has_others = true,
            }
        }
        if leads.is_deduced {
            match self.only_group(index, module, kinds) {
                Some(only) if leads.found.is_empty() => leads.found.push(only),
                _ => leads.has_others = true,
            }
        }
        leads.found.sort_by(|a, b| a.address.cmp(&b.address));
        leads.found.dedup_by(|a, b| a.address == b.address);
        leads
    }

    /// The group that a local of a module must be, if it is the id of one that is not known yet: the only one in it,
    /// where nothing else in it and nothing that is given to it can be that of another.
    fn only_group<'r>(
        &self,
        index: &Index<'r>,
        module: &str,
        kinds: &[&str],
    ) -> Option<&'r Resource<'r>> {
        let plain = without_keys(module);
        let given = self.calls.get(&plain)?;
        if !self.plain_modules.get(&plain).is_some_and(|is_plain| *is_plain) {
            return None;
        }
        let (above, call) = last_module(module);
        let call = without_keys(call);
        let no_group = |lead: Lead<'_>| match lead {
            Lead::Known(_) => true,
            Lead::Resource { target, .. } => {
                let kind = target.split('.').next().unwrap_or_default();
                kind.starts_with("aws_") && !kinds.contains(&kind)
            }
            Lead::Attribute(kind, attribute) => {
                kind.starts_with("aws_") && !attribute.contains("security_group")
            }
            Lead::Local(_) | Lead::Unknown => false,
        };
        for variable in given {
            let of = self.get(above, &format!("{call}.{variable}"))?;
            if !self.resolved(above, &call, of).into_iter().all(no_group) {
                return None;
            }
        }
        let mut all =
            index.modules.get(module)?.iter().filter(|of| kinds.contains(&of.kind.as_str()));
        match (all.next(), all.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        }
    }

    /// Where the references of an expression lead, through variables and outputs.
    fn resolved(&self, module: &str, owner: &str, of: &Expression<'v>) -> Vec<Lead<'v>> {
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        let mut left = steps_of(module, owner, of, false);
        while let Some(step) = left.pop() {
            if seen.len() > MOST_STEPS {
                return vec![Lead::Unknown];
            }
            if seen.insert(step.clone()) {
                self.follow(&step, &mut left, &mut found);
            }
        }
        found
    }

    /// One reference: where it leads, or what it stands for.
    fn follow(&self, step: &Step<'v>, left: &mut Vec<Step<'v>>, found: &mut Vec<Lead<'v>>) {
        let Step { module, owner, target, by_key } = step;
        let steps = steps(target);
        let is_name = |rest: &[&str]| rest.last().is_none_or(|last| NAMES.contains(&plain(last)));
        let mut go = |module: &str, owner: &str, of: Option<&Expression<'v>>, by_key: bool| match of
        {
            Some(of) if of.references.is_empty() => found.push(Lead::Known(of.constant)),
            Some(of) => left.extend(steps_of(module, owner, of, by_key)),
            None => found.push(Lead::Unknown),
        };
        match steps.as_slice() {
            ["var", name, ..] if module.is_empty() => {
                // Of those of the root nothing is open.
                let value = self.get(module, &format!("var.{}", plain(name)));
                found.push(Lead::Known(value.and_then(|of| of.constant)));
            }
            ["var", name, ..] => {
                let (above, call) = last_module(module);
                let call = without_keys(call);
                let given = self.get(above, &format!("{call}.{}", plain(name)));
                let default = || self.get(module, &format!("var.{}", plain(name)));
                go(above, &call, given.or_else(default), false);
            }
            ["module", call, output, rest @ ..] if is_name(rest) => {
                let inside = join(module, &format!("module.{call}"));
                let of = self.get(&inside, &format!("output.{}", plain(output)));
                go(&inside, "", of, *by_key);
            }
            ["each", "value", rest @ ..] if is_name(rest) => {
                go(module, "", self.get(module, &format!("{owner}.for_each")), true);
            }
            ["each" | "count" | "path" | "terraform", ..] => found.push(Lead::Known(None)),
            ["local", ..] => found.push(Lead::Local(module.clone())),
            ["module" | "data" | "self", ..] => found.push(Lead::Unknown),
            [kind, name, rest @ ..] if is_name(rest) => {
                let (module, target) = (module.clone(), format!("{kind}.{name}"));
                found.push(Lead::Resource { module, target, by_key: *by_key });
            }
            [kind, _, .., attribute] => found.push(Lead::Attribute(kind, attribute)),
            _ => found.push(Lead::Unknown),
        }
    }
}

/// The references of an expression. Where one names a resource with many instances and `each.key` or `count.index` is
/// the only other one, that is its key; which index any other expression comes to, nobody can say.
fn steps_of<'v>(module: &str, owner: &str, of: &Expression<'v>, by_key: bool) -> Vec<Step<'v>> {
    // After `a.b.id` Terraform lists `a.b`.
    let mut all: Vec<&'v str> = Vec::new();
    let mut before = "";
    for one in of.references.iter().copied() {
        let rest = before.strip_prefix(one);
        if !rest.is_some_and(|rest| rest.starts_with(['.', '['])) {
            all.push(one);
        }
        before = one;
    }
    let is_key = |one: &&str| ["each.key", "count.index"].contains(one);
    let mut named = all.iter().filter(|one| !is_key(one));
    let has_many = matches!((named.next(), named.next()), (Some(only), None) if has_many(only));
    let has_key = has_many && all.iter().any(is_key);
    let step = |target| Step {
        module: module.to_owned(),
        owner: owner.to_owned(),
        target,
        by_key: by_key || has_key,
    };
    all.into_iter().filter(|one| !(has_key && is_key(one))).map(step).collect()
}

/// Whether a reference can have a key after it: a whole resource or output.
fn has_many(target: &str) -> bool {
    match steps(target).as_slice() {
        ["module", _, output] => !output.contains('['),
        ["module" | "var" | "local" | "each" | "count" | "data" | "path" | "self", ..] => false,
        [_, name] => !name.contains('['),
        _ => false,
    }
}

/// Whether an id can be in a value: a number, a flag or an address is none.
fn can_be_id(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            !text.is_empty() && text.parse::<i64>().is_err() && parse_cidr_as_written(text).is_err()
        }
        Value::Array(all) => all.iter().any(can_be_id),
        Value::Object(map) => map.values().any(can_be_id),
        _ => false,
    }
}

impl<'v> Expression<'v> {
    fn new(expression: &'v Value) -> Self {
        Self { references: listed(expression), constant: expression.get("constant_value") }
    }
}

/// All references of an expression, of blocks in it too.
fn listed(expression: &Value) -> Vec<&str> {
    match expression {
        Value::Object(map) => match map.get("references").and_then(Value::as_array) {
            Some(list) => list.iter().filter_map(Value::as_str).collect(),
            None => map.values().flat_map(listed).collect(),
        },
        Value::Array(all) => all.iter().flat_map(listed).collect(),
        _ => Vec::new(),
    }
}
