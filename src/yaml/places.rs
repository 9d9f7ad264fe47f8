//! Where in a YAML text its values stand.
//!
//! `serde_yaml` builds values without positions. Where one is asked for, the text is read once more, by a
//! parser whose events have them.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser};

use super::Position;

/// One step down into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// The value under a key.
    Key(String),
    /// An element of a list.
    Index(usize),
    /// The key itself, not its value; always the last step.
    Name(String),
    /// A key that stands there for the second time; always the last step.
    Again(String),
}

/// The positions of everything in a text's first document, as far as it can be read.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// The first is what the document is.
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    at: Position,
    inside: Inside,
}

/// What a node holds, as positions among the nodes.
#[derive(Debug)]
enum Inside {
    Nothing,
    List(Vec<usize>),
    /// Keys, where they stand, and their values; of the last one the value may be yet to come.
    Map(Vec<(String, Position, Option<usize>)>),
}

impl Places {
    /// Reads a text.
    pub(crate) fn read(text: &str) -> Self {
        let mut places = Self::default();
        let (mut open, mut anchors) = (Vec::new(), HashMap::new());
        for next in Parser::new_from_str(text) {
            let Ok((event, span)) = next else { break };
            let at = (span.start.line(), span.start.col() + 1);
            let key = match &event {
                Event::Scalar(text, ..) => text.as_ref(),
                _ => "",
            };
            let (anchor, inside) = match &event {
                Event::Scalar(_, _, anchor, _) => (*anchor, Inside::Nothing),
                Event::SequenceStart(anchor, _) => (*anchor, Inside::List(Vec::new())),
                Event::MappingStart(anchor, _) => (*anchor, Inside::Map(Vec::new())),
                Event::Alias(anchor) => {
                    if let Some(node) = anchors.get(anchor) {
                        places.enter(&open, *node, at, key);
                    }
                    continue;
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    open.pop();
                    continue;
                }
                Event::DocumentEnd => break,
                _ => continue,
            };
            let node = places.nodes.len();
            let opens = !matches!(inside, Inside::Nothing);
            places.nodes.push(Node { at, inside });
            places.enter(&open, node, at, key);
            // Zero stands for none.
            if anchor > 0 {
                anchors.insert(anchor, node);
            }
            if opens {
                open.push(node);
            }
        }
        places
    }

    /// Puts a node into the innermost one that is open, in a map as a key or as the value of the last one.
    fn enter(&mut self, open: &[usize], node: usize, at: Position, key: &str) {
        let parent = open.last().and_then(|parent| self.nodes.get_mut(*parent));
        match parent.map(|parent| &mut parent.inside) {
            Some(Inside::List(list)) => list.push(node),
            Some(Inside::Map(map)) => match map.last_mut() {
                Some((_, _, value @ None)) => *value = Some(node),
                _ => map.push((key.to_owned(), at, None)),
            },
            Some(Inside::Nothing) | None => {}
        }
    }

    /// How many elements the list under a key of the document has.
    pub(crate) fn length(&self, key: &str) -> usize {
        let Some(Inside::Map(map)) = self.nodes.first().map(|node| &node.inside) else { return 0 };
        let list = map.iter().find(|(known, _, _)| known == key).and_then(|(_, _, list)| *list);
        match list.and_then(|list| self.nodes.get(list)).map(|node| &node.inside) {
            Some(Inside::List(list)) => list.len(),
            _ => 0,
        }
    }

    /// Where that stands which the path leads to; the nearest thing above it, if it leads nowhere. `None`
    /// where nothing could be read.
    pub(crate) fn find(&self, path: &[Segment]) -> Option<Position> {
        let mut node = self.nodes.first()?;
        for step in path {
            let next = match (step, &node.inside) {
                (Segment::Index(index), Inside::List(list)) => list.get(*index).copied(),
                (Segment::Key(key), Inside::Map(map)) => {
                    map.iter().find(|(known, _, _)| known == key).and_then(|(_, _, value)| *value)
                }
                (Segment::Name(key) | Segment::Again(key), Inside::Map(map)) => {
                    let mut same = map.iter().filter(|(known, _, _)| known == key);
                    let nth = usize::from(matches!(step, Segment::Again(_)));
                    return Some(same.nth(nth).map_or(node.at, |(_, at, _)| *at));
                }
                _ => None,
            };
            match next.and_then(|next| self.nodes.get(next)) {
                Some(next) => node = next,
                None => break,
            }
        }
        Some(node.at)
    }
}

/// Where a text gives a name to a second value (`&name`), and the name. YAML allows it; `serde_yaml` then takes
/// other values for the ones that are named, without a word.
pub(super) fn named_again(text: &str) -> Option<(String, Position)> {
    if !text.contains('&') || !text.contains('*') {
        return None;
    }
    let mut names = HashSet::new();
    // Events come in the order of the text, so that it is gone through once.
    let (mut rest, mut passed) = (text, 0);
    for (event, span) in Parser::new_from_str(text).map_while(Result::ok) {
        let (Event::Scalar(_, _, anchor, _)
        | Event::SequenceStart(anchor, _)
        | Event::MappingStart(anchor, _)) = event
        else {
            continue;
        };
        let skipped = span.start.index().saturating_sub(passed);
        let start = rest.char_indices().nth(skipped).map_or(rest.len(), |(at, _)| at);
        (rest, passed) = (rest.get(start..).unwrap_or_default(), passed + skipped);
        if anchor == 0 {
            continue;
        }
        // A value starts with its name, or with its tag.
        let ends = |c: char| c.is_whitespace() || ",[]{}".contains(c);
        let mut words =
            rest.split(ends).skip_while(|word| word.is_empty() || word.starts_with('!'));
        if let Some(name) = words.next().and_then(|word| word.strip_prefix('&'))
            && !names.insert(name)
        {
            return Some((name.to_owned(), (span.start.line(), span.start.col() + 1)));
        }
    }
    None
}
