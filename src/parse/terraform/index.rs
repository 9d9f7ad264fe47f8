//! Resources by the names that references have for them.

use std::collections::HashMap;

use super::address::{join, split, without_keys};
use super::resource::Resource;

/// Resources by what references name. A plan has as many of both, so none of them may go over all of the others.
#[derive(Default)]
pub(super) struct Index<'r> {
    addresses: HashMap<&'r str, Vec<&'r Resource<'r>>>,
    /// By module, and by the rest of the address without keys.
    names: HashMap<(String, String), Vec<&'r Resource<'r>>>,
    /// By module.
    pub(super) modules: HashMap<&'r str, Vec<&'r Resource<'r>>>,
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

    /// The instances of a resource in a module that a reference without a key can mean: where it has the key of the
    /// resource that refers, the one with that.
    pub(super) fn instances(
        &self,
        module: &str,
        target: &str,
        from: &str,
        by_key: bool,
    ) -> Vec<&'r Resource<'r>> {
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
        if by_key && all.len() > 1 && same.len() == 1 { same } else { all }
    }
}
