//! Resources, as states and plans hold them.

use serde_json::Value;

/// One resource of one side.
pub(super) struct Resource<'v> {
    pub(super) address: String,
    pub(super) kind: String,
    pub(super) values: &'v Value,
    /// Attributes that are known only after the plan was applied.
    pub(super) unknown: &'v Value,
    /// The plan makes it, as a new one or in the place of an old one.
    pub(super) is_made: bool,
}

impl<'v> Resource<'v> {
    /// One of which everything is known.
    pub(super) fn as_it_is(address: String, kind: String, values: &'v Value) -> Self {
        Self { address, kind, values, unknown: &Value::Null, is_made: false }
    }

    /// Its id, or what stands for it.
    pub(super) fn id(&self) -> String {
        let known = self.values.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
        known.map_or_else(|| later(&self.address), str::to_owned)
    }

    /// A word among its values.
    pub(super) fn word(&self, key: &str) -> Option<&str> {
        self.values.get(key).and_then(Value::as_str).filter(|word| !word.is_empty())
    }
}

/// What stands for an id that is known only after the plan was applied.
pub(super) fn later(address: &str) -> String {
    format!("?{address}")
}

/// An address, or one of its own for what a replacement has left behind there: that has an object of its own beside the
/// living one until it is deleted.
pub(super) fn address_of(address: &str, deposed: Option<&Value>) -> String {
    match deposed.and_then(Value::as_str) {
        Some(key) => format!("{address} (deposed object {key})"),
        None => address.to_owned(),
    }
}

/// Address, type and values.
pub(super) type Listed<'v> = (String, String, &'v Value);

/// The resources of a tree of modules.
pub(super) fn tree<'v>(module: &'v Value, found: &mut Vec<Listed<'v>>) {
    if let Some(root) = module.get("root_module") {
        return tree(root, found);
    }
    for resource in module.get("resources").and_then(Value::as_array).into_iter().flatten() {
        let word =
            |key: &str| resource.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        if let (false, Some(values)) = (word("mode") == "data", resource.get("values")) {
            let address = address_of(&word("address"), resource.get("deposed_key"));
            found.push((address, word("type"), values));
        }
    }
    for child in module.get("child_modules").and_then(Value::as_array).into_iter().flatten() {
        tree(child, found);
    }
}

/// A resource of a raw state file, with its instances.
pub(super) fn raw<'v>(resource: &'v Value, found: &mut Vec<Listed<'v>>) {
    let word = |key: &str| resource.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    if word("mode") == "data" {
        return;
    }
    let module = word("module");
    let dot = if module.is_empty() { "" } else { "." };
    for instance in resource.get("instances").and_then(Value::as_array).into_iter().flatten() {
        let key = match instance.get("index_key") {
            Some(key @ (Value::String(_) | Value::Number(_))) => format!("[{key}]"),
            _ => String::new(),
        };
        if let Some(values) = instance.get("attributes") {
            let address = format!("{module}{dot}{}.{}{key}", word("type"), word("name"));
            let address = address_of(&address, instance.get("deposed"));
            found.push((address, word("type"), values));
        }
    }
}
