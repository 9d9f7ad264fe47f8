//! The lists that a packet must pass one after the other: security groups, which remember connections, and network
//! ACLs, which do not (SEMANTICS H2, H5).

use std::fmt;
use std::ops::RangeInclusive;

use super::{Cloud, Interface, RuleSet, SecurityGroup};

/// Which kind of list a group of rules is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// At an interface. What belongs to an allowed connection passes, whichever way it goes.
    #[default]
    SecurityGroup,
    /// At a subnet. It judges every packet by itself, answers too, and none between two addresses of the subnet.
    NetworkAcl,
}

impl Layer {
    /// The word in the `layer` column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SecurityGroup => "security_group",
            Self::NetworkAcl => "network_acl",
        }
    }

    /// What people call one.
    pub fn noun(self) -> &'static str {
        match self {
            Self::SecurityGroup => "security group",
            Self::NetworkAcl => "network ACL",
        }
    }

    /// The priorities that rules may have.
    pub fn priorities(self, cloud: Cloud) -> RangeInclusive<u32> {
        match self {
            Self::SecurityGroup => cloud.priorities(),
            // The last entry of AWS, `*` in the console, is 32767, or 32768 where it is about IPv6.
            Self::NetworkAcl => 1..=32_768,
        }
    }

    /// The highest priority of rules that people write: see [`Cloud::lowest_custom`]. Behind it stand the entries `*`
    /// of a network ACL.
    pub fn lowest_custom(self, cloud: Cloud) -> u32 {
        match self {
            Self::SecurityGroup => cloud.lowest_custom(),
            Self::NetworkAcl => 32_766,
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.noun())
    }
}

/// How network ACLs are judged.
const ABOUT_NETWORK_ACLS: &str = "network ACLs: the lowest number decides, what none matches is denied both ways; stateless, so every packet is \
     judged by the rules of its own direction, answers too; traffic inside one subnet never meets them";
/// What is to be said of network ACLs alone.
const NO_GROUPS: &str =
    "the security groups behind them are not in the files, and what they deny is not seen";

impl RuleSet {
    /// How the rules are judged, where that is not as Alibaba Cloud judges security groups.
    pub fn profile(&self) -> Vec<&'static str> {
        let (groups, acls) =
            (self.has_layer(Layer::SecurityGroup), self.has_layer(Layer::NetworkAcl));
        let of_cloud =
            Some(self.cloud.profile()).filter(|_| groups && self.cloud != Cloud::Alibaba);
        let of_acls = Some(ABOUT_NETWORK_ACLS).filter(|_| acls);
        of_cloud.into_iter().chain(of_acls).chain(Some(NO_GROUPS).filter(|_| !groups)).collect()
    }

    /// Whether any of the groups is of this layer.
    pub fn has_layer(&self, layer: Layer) -> bool {
        self.groups_of(layer).next().is_some()
    }

    /// The groups of a layer, each with its position.
    pub fn groups_of(&self, layer: Layer) -> impl Iterator<Item = (usize, &SecurityGroup)> {
        self.groups.iter().enumerate().filter(move |(_, group)| group.layer == layer)
    }

    /// The layers of an interface, each with its groups, in the order in which a packet that comes in meets them: the
    /// network ACL of the subnet, then the security groups, which are one list, or, of Azure, a layer each.
    pub fn layers(&self, eni: &Interface) -> Vec<(Layer, Vec<usize>)> {
        let layer = |group: usize| self.groups.get(group).map(|of| of.layer).unwrap_or_default();
        let (acls, groups): (Vec<usize>, Vec<usize>) =
            eni.groups.iter().partition(|group| layer(**group) == Layer::NetworkAcl);
        let mut layers: Vec<(Layer, Vec<usize>)> =
            acls.into_iter().map(|acl| (Layer::NetworkAcl, vec![acl])).collect();
        if self.cloud.is_layered() {
            layers.extend(groups.into_iter().map(|group| (Layer::SecurityGroup, vec![group])));
        } else if !groups.is_empty() {
            layers.push((Layer::SecurityGroup, groups));
        }
        layers
    }

    /// The same rules with an interface for each layer of an interface that has several, and the position here of each
    /// interface there; `None` where every interface has one layer.
    pub fn layers_apart(&self) -> Option<(Self, Vec<usize>)> {
        let mut positions = Vec::new();
        let mut interfaces = Vec::new();
        for (position, eni) in self.interfaces.iter().enumerate() {
            let layers = self.layers(eni);
            let several = layers.len() > 1;
            for (_, groups) in layers {
                let ids = groups.iter().filter_map(|group| self.groups.get(*group));
                let ids: Vec<&str> = ids.map(|group| group.id.as_str()).collect();
                let id = match several {
                    true => format!("{} ({})", eni.id, ids.join(", ")),
                    false => eni.id.clone(),
                };
                interfaces.push(Interface { id, groups, ..eni.clone() });
                positions.push(position);
            }
        }
        let apart = interfaces.len() > self.interfaces.len();
        apart.then(|| {
            let mut rules = Self { interfaces, ..self.clone() };
            rules.index();
            (rules, positions)
        })
    }
}

/// The positions of the groups of a layer.
pub(super) fn of_layer(groups: &[SecurityGroup], among: &[usize], layer: Layer) -> Vec<usize> {
    let is = |group: &&usize| groups.get(**group).is_some_and(|of| of.layer == layer);
    among.iter().filter(is).copied().collect()
}
