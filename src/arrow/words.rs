//! Words and names as dictionary columns.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{Int8Builder, Int32Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowDictionaryKeyType, Int8Type, Int32Type};
use arrow_array::{ArrayRef, DictionaryArray, PrimitiveArray, StringArray};
use arrow_schema::{ArrowError, DataType};

use crate::flow::Direction;
use crate::labels::Labels;
use crate::rules::{EntryIndex, Layer, RuleSet, SharedLists};
use crate::verdict::{Judgement, Reason, Verdict};

/// The type of columns of words, of which there are few: signed, since pandas takes no other.
pub fn word_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8))
}

/// The type of columns of names, of which there may be many.
pub fn name_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// A column of keys into values.
pub(super) fn dictionary<K: ArrowDictionaryKeyType>(
    keys: PrimitiveArray<K>,
    values: &ArrayRef,
) -> Result<ArrayRef, ArrowError> {
    Ok(Arc::new(DictionaryArray::try_new(keys, Arc::clone(values))?))
}

/// The words of a column.
pub(super) fn values<'w>(words: impl IntoIterator<Item = &'w str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(words))
}

/// Names, each with its key.
#[derive(Debug, Default)]
pub(super) struct Names {
    keys: HashMap<String, i32>,
    names: Vec<String>,
}

impl Names {
    /// The key of a name, which is added if it is new.
    pub(super) fn key(&mut self, name: &str) -> i32 {
        if let Some(key) = self.keys.get(name) {
            return *key;
        }
        let key = i32::try_from(self.names.len()).unwrap_or(i32::MAX);
        self.names.push(name.to_owned());
        self.keys.insert(name.to_owned(), key);
        key
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// All of them, in the order of their keys.
    pub(super) fn values(&self) -> ArrayRef {
        values(self.names.iter().map(String::as_str))
    }
}

/// What an entry is called, as keys.
#[derive(Clone, Copy, Debug)]
struct LabelKeys {
    group: i32,
    rule: i32,
    layer: i8,
}

/// In the order of their keys.
const LAYERS: [Layer; 2] = [Layer::SecurityGroup, Layer::NetworkAcl];

/// The vocabulary of verdicts by a rule set.
#[derive(Debug)]
pub struct Vocabulary {
    /// By list, direction and position of the entry.
    entries: Vec<[Vec<LabelKeys>; 2]>,
    shared: SharedLists,
    unknown: LabelKeys,
    interfaces: ArrayRef,
    directions: ArrayRef,
    verdicts: ArrayRef,
    reasons: ArrayRef,
    groups: ArrayRef,
    rules: ArrayRef,
    layers: ArrayRef,
}

impl Vocabulary {
    /// The names of all entries of a rule set, and all words.
    pub fn new(rules: &RuleSet) -> Self {
        let labels = Labels::new(rules);
        let (mut groups, mut names) = (Names::default(), Names::default());
        let unknown = LabelKeys { group: groups.key(""), rule: names.key(""), layer: 0 };
        let mut keys = |interface: usize, direction: Direction| -> Vec<LabelKeys> {
            let ordered = rules.ordered_for_packets(interface, direction);
            let count = u32::try_from(ordered.entries().len()).unwrap_or(u32::MAX);
            (0..count)
                .map(|entry| {
                    let entry = EntryIndex(entry);
                    let label = labels.entry(interface, direction, entry);
                    LabelKeys {
                        group: groups.key(&label.group),
                        rule: names.key(&label.rule),
                        layer: position(&LAYERS, label.layer),
                    }
                })
                .collect()
        };
        let interfaces = rules.interfaces();
        let shared = SharedLists::new(rules);
        let lists = shared.first_interfaces().iter();
        let entries = lists.map(|first| Direction::BOTH.map(|d| keys(*first, d))).collect();
        Self {
            entries,
            shared,
            unknown,
            interfaces: values(interfaces.iter().map(|eni| eni.id.as_str())),
            directions: values(Direction::BOTH.map(Direction::as_str)),
            verdicts: values(Verdict::ALL.iter().map(|word| word.as_str())),
            reasons: values(Reason::ALL.iter().map(|word| word.as_str())),
            groups: groups.values(),
            rules: names.values(),
            layers: values(LAYERS.map(Layer::as_str)),
        }
    }

    /// The words of a column of verdicts; none where it has no dictionary.
    pub(super) fn words(&self, column: &str) -> impl Iterator<Item = &str> {
        let words = match column {
            "interface" => Some(&self.interfaces),
            "direction" => Some(&self.directions),
            "verdict" => Some(&self.verdicts),
            "reason" => Some(&self.reasons),
            "group" => Some(&self.groups),
            "rule" => Some(&self.rules),
            "layer" => Some(&self.layers),
            _ => None,
        };
        let words = words.and_then(|words| words.as_string_opt::<i32>());
        words.into_iter().flatten().flatten()
    }

    fn label(&self, judgement: &Judgement) -> LabelKeys {
        let Judgement { interface, decided_in, entry, .. } = *judgement;
        let of_interface = self.shared.list(interface).and_then(|list| self.entries.get(list));
        let entries = of_interface.and_then(|by_direction| by_direction.get(decided_in as usize));
        let found = entries.and_then(|entries| entries.get(entry.0 as usize));
        found.copied().unwrap_or(self.unknown)
    }
}

/// The position of a word among all: a key.
fn position<T: Copy + PartialEq>(all: &[T], word: T) -> i8 {
    let found = all.iter().position(|known| *known == word);
    found.and_then(|at| i8::try_from(at).ok()).unwrap_or(0)
}

/// The columns of verdicts under way.
#[derive(Debug)]
pub struct VerdictColumns {
    interface: Int32Builder,
    direction: Int8Builder,
    verdict: Int8Builder,
    reason: Int8Builder,
    group: Int32Builder,
    rule: Int32Builder,
    layer: Int8Builder,
}

impl VerdictColumns {
    /// None yet; there is room for so many rows.
    pub fn with_capacity(rows: usize) -> Self {
        Self {
            interface: Int32Builder::with_capacity(rows),
            direction: Int8Builder::with_capacity(rows),
            verdict: Int8Builder::with_capacity(rows),
            reason: Int8Builder::with_capacity(rows),
            group: Int32Builder::with_capacity(rows),
            rule: Int32Builder::with_capacity(rows),
            layer: Int8Builder::with_capacity(rows),
        }
    }

    /// Adds a judgement.
    #[inline]
    pub fn judged(&mut self, judgement: &Judgement, vocabulary: &Vocabulary) {
        let LabelKeys { group, rule, layer } = vocabulary.label(judgement);
        self.interface.append_value(i32::try_from(judgement.interface).unwrap_or(i32::MAX));
        self.direction.append_value(judgement.direction as i8);
        self.verdict.append_value(judgement.verdict as i8);
        self.reason.append_value(judgement.reason as i8);
        self.group.append_value(group);
        self.rule.append_value(rule);
        self.layer.append_value(layer);
    }

    /// Adds a row that was not judged.
    pub fn not_evaluated(&mut self, reason: Reason) {
        self.interface.append_null();
        self.direction.append_null();
        self.verdict.append_value(Verdict::NotEvaluated as i8);
        self.reason.append_value(reason as i8);
        self.group.append_null();
        self.rule.append_null();
        self.layer.append_null();
    }

    /// The columns interface, direction, verdict, reason, group, rule, layer; what follows begins anew.
    ///
    /// # Errors
    /// When the vocabulary is not that of the rows.
    pub fn finish(&mut self, vocabulary: &Vocabulary) -> Result<[ArrayRef; 7], ArrowError> {
        let of_words =
            |keys: &mut Int8Builder, words: &ArrayRef| dictionary::<Int8Type>(keys.finish(), words);
        let of_names = |keys: &mut Int32Builder, names: &ArrayRef| {
            dictionary::<Int32Type>(keys.finish(), names)
        };
        Ok([
            of_names(&mut self.interface, &vocabulary.interfaces)?,
            of_words(&mut self.direction, &vocabulary.directions)?,
            of_words(&mut self.verdict, &vocabulary.verdicts)?,
            of_words(&mut self.reason, &vocabulary.reasons)?,
            of_names(&mut self.group, &vocabulary.groups)?,
            of_names(&mut self.rule, &vocabulary.rules)?,
            of_words(&mut self.layer, &vocabulary.layers)?,
        ])
    }
}
