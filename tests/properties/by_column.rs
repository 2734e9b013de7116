//! Records of a question put into columns, by other code than the product's: with texts that are sent
//! once or as often as they stand, and bits that say what is missing.

use std::collections::BTreeSet;

use doorward::core::columns::{Bits, Column, Columns, Texts, Values};
use fastrand::Rng;

/// As a client sends them. Not where only the core rooms are built (tests/mutations/run).
#[cfg(not(core_alone))]
#[path = "message.rs"]
mod message;

use crate::oracle::RecordQ;
use crate::oracle::conditions::Attribute;

/// Columns, and all that they borrow.
pub struct Sheet {
    count: usize,
    ids: Blob,
    owners: Option<Blob>,
    accounts: Option<Blob>,
    columns: Vec<Cells>,
}

struct Blob {
    text: String,
    lengths: Vec<u32>,
    indexes: Option<Vec<u32>>,
}

struct Cells {
    name: String,
    missing: Vec<u8>,
    lengths: Option<Vec<u32>>,
    kind: Attribute,
    values: Vec<Attribute>,
    texts: Blob,
}

impl Blob {
    fn of(texts: &[&str], rng: &mut Rng) -> Self {
        let number = |n: usize| u32::try_from(n).unwrap();
        let joined = |texts: &[&str]| (texts.concat(), texts.iter().map(|text| number(text.len())).collect());
        if rng.bool() {
            let (text, lengths) = joined(texts);
            return Self { text, lengths, indexes: None };
        }
        let mut each: Vec<&str> = texts.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        rng.shuffle(&mut each);
        let indexes = texts.iter().map(|text| number(each.iter().position(|other| other == text).unwrap()));
        let (text, lengths) = joined(&each);
        Self { text, lengths, indexes: Some(indexes.collect()) }
    }

    fn texts(&self) -> Texts<'_> {
        Texts::new(&self.text, &self.lengths, self.indexes.as_deref()).unwrap()
    }
}

/// A kind that one column can have: the value with nothing in it.
fn kind(value: &Attribute) -> Option<Attribute> {
    Some(match value {
        Attribute::Null => return None,
        Attribute::Bool(_) => Attribute::Bool(false),
        Attribute::Int(_) => Attribute::Int(0),
        Attribute::Double(value) if value.is_finite() => Attribute::Double(0.0),
        Attribute::Double(_) => return None,
        Attribute::String(_) => Attribute::String(String::new()),
        Attribute::Timestamp(_) => Attribute::Timestamp(0),
        Attribute::List(values) => {
            let kinds: Vec<_> = values.iter().map(kind).collect::<Option<_>>()?;
            let first = kinds.first().cloned().unwrap_or(Attribute::String(String::new()));
            return kinds.iter().all(|kind| *kind == first).then(|| Attribute::List(vec![first]));
        }
    })
}

impl Sheet {
    /// Of `records`, which lose what no column can hold beside the first value of the same name.
    pub fn of(records: &mut [RecordQ], rng: &mut Rng) -> Self {
        let names: BTreeSet<String> = records.iter().flat_map(|r| r.attributes.keys().cloned()).collect();
        let columns = names.iter().filter_map(|name| Cells::of(name, records, rng)).collect::<Vec<_>>();
        for name in &names {
            if !columns.iter().any(|column| column.name == *name) {
                records.iter_mut().for_each(|record| drop(record.attributes.remove(name)));
            }
        }
        let part = |part: fn(&RecordQ) -> &str, rng: &mut Rng| {
            let texts: Vec<&str> = records.iter().map(part).collect();
            (texts.iter().any(|text| !text.is_empty()) || rng.bool()).then(|| Blob::of(&texts, rng))
        };
        let ids: Vec<&str> = records.iter().map(|record| record.id.as_str()).collect();
        Self {
            count: records.len(),
            ids: Blob::of(&ids, rng),
            owners: part(|record| record.owner.as_deref().unwrap_or(""), rng),
            accounts: part(|record| record.account.as_deref().unwrap_or(""), rng),
            columns,
        }
    }

    pub fn columns(&self) -> Columns<'_> {
        Columns {
            ids: self.ids.texts(),
            owners: self.owners.as_ref().map(Blob::texts),
            accounts: self.accounts.as_ref().map(Blob::texts),
            attributes: self.columns.iter().map(|cells| cells.column(self.count)).collect(),
        }
    }
}

impl Cells {
    fn of(name: &str, records: &mut [RecordQ], rng: &mut Rng) -> Option<Self> {
        let kind = records.iter().find_map(|record| kind(record.attributes.get(name)?))?;
        let list = matches!(kind, Attribute::List(_));
        let mut missing = vec![0; records.len().div_ceil(8)];
        let (mut lengths, mut values) = (Vec::new(), Vec::new());
        for (at, record) in records.iter_mut().enumerate() {
            let sent = record.attributes.get(name).cloned();
            let fits = match (&sent, &kind) {
                (Some(Attribute::List(sent)), Attribute::List(_)) if sent.is_empty() => true,
                (Some(sent), _) => self::kind(sent).as_ref() == Some(&kind),
                (None, _) => false,
            };
            if !fits {
                missing[at / 8] |= 1 << (at % 8);
                if sent != Some(Attribute::Null) {
                    record.attributes.remove(name);
                }
            }
            match sent {
                Some(Attribute::List(sent)) if fits => {
                    lengths.push(u32::try_from(sent.len()).unwrap());
                    values.extend(sent);
                }
                // Whatever stands there is not read, elements either.
                _ if list => {
                    let Attribute::List(any) = &kind else { unreachable!() };
                    lengths.push(rng.u32(0..2));
                    values.extend(any.iter().take(*lengths.last().unwrap() as usize).cloned());
                }
                Some(sent) if fits => values.push(sent),
                _ => values.push(kind.clone()),
            }
        }
        while missing.last() == Some(&0) && rng.bool() {
            missing.pop();
        }
        let kind = if let Attribute::List(mut any) = kind { any.remove(0) } else { kind };
        let text = |value: &Attribute| if let Attribute::String(text) = value { text.clone() } else { String::new() };
        let texts: Vec<String> = values.iter().map(text).collect();
        let texts = Blob::of(&texts.iter().map(String::as_str).collect::<Vec<_>>(), rng);
        let lengths = list.then_some(lengths);
        Some(Self { name: name.to_owned(), missing, lengths, kind, values, texts })
    }

    fn column(&self, count: usize) -> Column<'_> {
        let mut end = 0;
        let ends = self.lengths.as_ref().map(|lengths| {
            let ends = lengths.iter().map(|length| {
                end += length;
                end
            });
            ends.collect()
        });
        Column {
            name: &self.name,
            present: Bits::but(count, &self.missing),
            odd: None,
            lists: ends,
            values: self.values(),
        }
    }

    fn values(&self) -> Values<'_> {
        let values = &self.values;
        match self.kind {
            Attribute::Bool(_) => Values::Bools(values.iter().map(|v| *v == Attribute::Bool(true)).collect()),
            Attribute::Int(_) => {
                Values::Ints(values.iter().map(|v| if let Attribute::Int(n) = v { *n } else { 0 }).collect())
            }
            Attribute::Double(_) => {
                Values::Doubles(values.iter().map(|v| if let Attribute::Double(n) = v { *n } else { 0.0 }).collect())
            }
            Attribute::Timestamp(_) => Values::Timestamps(
                values.iter().map(|v| if let Attribute::Timestamp(n) = v { *n } else { 0 }).collect(),
            ),
            _ => Values::Texts(self.texts.texts()),
        }
    }
}
