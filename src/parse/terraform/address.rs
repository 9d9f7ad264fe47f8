//! Addresses of resources and modules, taken apart.

/// The steps of an address, with the keys that are in brackets: `module`, `svc["a.b"]`, `aws_instance`, `db`.
pub(super) fn steps(address: &str) -> Vec<&str> {
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
pub(super) fn plain(step: &str) -> &str {
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
pub(super) fn last_module(module: &str) -> (&str, &str) {
    let steps = steps(module);
    let [.., _, name] = steps.as_slice() else { return ("", "") };
    let last = "module.".len() + name.len();
    let at = module.len().saturating_sub(last);
    let above = module.get(..at.saturating_sub(1)).unwrap_or_default();
    (above, module.get(at..).unwrap_or_default())
}

pub(super) fn join(module: &str, rest: &str) -> String {
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
