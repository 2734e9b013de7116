//! The message `Record`, kept as it is read: a record a decision asks about is decoded, asked for a
//! few of its attributes and dropped. The generated message takes a map and some twenty allocations
//! for six attributes; this one puts all names and texts into one string.
//!
//! On the wire it is `doorward.v1.Record` like any other; `build.rs` puts it in the place of the
//! generated one.

use std::collections::BTreeMap;

use prost::bytes::{Buf, BufMut};
use prost::encoding::{self, DecodeContext, WireType};
use prost::{DecodeError, Message};
use prost_types::Timestamp;

use crate::core::condition::{self, Fact, List};

use super::convert::value::{MAX_STRING_BYTES, instant, is_exact, is_sound_list};
use super::proto::value::Kind;
use super::proto::{NullValue, Value, ValueList};

const ID: u32 = 1;
const OWNER: u32 = 2;
const ACCOUNT: u32 = 3;
const ATTRIBUTES: u32 = 4;
/// Attributes and bytes of their names and texts for which there is room at once.
const ENTRIES: usize = 8;
const TEXT_BYTES: usize = 128;

/// A record as the caller describes it (rule 1.4): see `Record` in `common.proto`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// Its id.
    pub id: String,
    /// A user id, `user:ID` or `service:ID`; empty if nobody owns it.
    pub owner: String,
    /// Its account; empty if not given.
    pub account: String,
    /// Everything else that the caller says of it.
    pub attributes: Attributes,
}

/// Attributes in the order in which they came; of a name that came twice, the last one counts.
#[derive(Debug, Clone, Default)]
pub struct Attributes {
    /// All names and texts, end to end.
    texts: String,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Default)]
struct Entry {
    name: Text,
    value: Sent,
}

/// A place in [`Attributes::texts`].
#[derive(Debug, Clone, Copy, Default)]
struct Text {
    start: u32,
    end: u32,
}

impl Text {
    fn len(self) -> usize {
        (self.end - self.start) as usize
    }
}

/// Bytes that lie in one piece, from where they are read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    #[inline]
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    #[inline]
    fn varint(&mut self) -> Option<u64> {
        match self.byte()? {
            short @ ..0x80 => Some(short.into()),
            first => self.long(first),
        }
    }

    /// A number of more than seven bits.
    fn long(&mut self, first: u8) -> Option<u64> {
        let mut number = u64::from(first & 0x7f);
        for shift in (7..63).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        // Of the tenth byte, one bit is left.
        let last = self.byte()?;
        (last <= 1).then_some(number | u64::from(last) << 63)
    }

    #[inline]
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    #[inline]
    fn delimited(&mut self) -> Option<&'a [u8]> {
        let length = self.varint()?;
        self.take(usize::try_from(length).ok()?)
    }

    #[inline]
    fn tagged(&mut self, tag: u8) -> Option<&'a [u8]> {
        (self.byte()? == tag).then(|| self.delimited())?
    }
}

/// As the kinds of `Value`.
#[derive(Debug, Clone, Default)]
enum Sent {
    #[default]
    Nothing,
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Text),
    Timestamp(Timestamp),
    List(ValueList),
}

impl Attributes {
    /// How many came, a name that came twice counted twice.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none came.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The longest name, in bytes.
    #[must_use]
    pub fn longest_name(&self) -> usize {
        self.entries.iter().map(|e| e.name.len()).max().unwrap_or(0)
    }

    /// Whether every value can be read where it lies: it has a kind, is finite, not too long, and
    /// if an instant, whole milliseconds within the years 1 to 9999.
    #[must_use]
    pub fn are_sound(&self) -> bool {
        self.entries.iter().all(|entry| match &entry.value {
            Sent::Nothing => false,
            Sent::Null | Sent::Bool(_) | Sent::Int(_) => true,
            Sent::Double(value) => value.is_finite(),
            Sent::Text(text) => text.len() <= MAX_STRING_BYTES,
            Sent::Timestamp(time) => is_exact(*time),
            Sent::List(list) => is_sound_list(list),
        })
    }

    /// The same as the generated message would have it.
    #[must_use]
    pub fn to_map(&self) -> BTreeMap<String, Value> {
        self.iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn iter(&self) -> impl Iterator<Item = (&str, Value)> {
        self.entries.iter().map(|entry| {
            let kind = match &entry.value {
                Sent::Nothing => None,
                Sent::Null => Some(Kind::NullValue(NullValue {})),
                Sent::Bool(value) => Some(Kind::BoolValue(*value)),
                Sent::Int(value) => Some(Kind::IntValue(*value)),
                Sent::Double(value) => Some(Kind::DoubleValue(*value)),
                Sent::Text(text) => Some(Kind::StringValue(self.text(*text).to_owned())),
                Sent::Timestamp(time) => Some(Kind::TimestampValue(*time)),
                Sent::List(list) => Some(Kind::ListValue(list.clone())),
            };
            (self.text(entry.name), Value { kind })
        })
    }

    fn text(&self, text: Text) -> &str {
        self.texts.get(text.start as usize..text.end as usize).unwrap_or("")
    }

    fn add(&mut self, text: &str) -> Text {
        let start = self.end();
        self.texts.push_str(text);
        Text { start, end: self.end() }
    }

    /// Messages are shorter than 4 GiB.
    fn end(&self) -> u32 {
        u32::try_from(self.texts.len()).unwrap_or(u32::MAX)
    }

    fn push(&mut self, entry: Entry) {
        // Most records have a few: room for them at once, where growing would move them four times.
        if self.entries.is_empty() {
            self.entries.reserve(ENTRIES);
        }
        self.entries.push(entry);
    }

    fn read_text(&mut self, wire: WireType, buf: &mut impl Buf, ctx: DecodeContext) -> Result<Text, DecodeError> {
        encoding::check_wire_type(WireType::LengthDelimited, wire)?;
        let len = encoding::decode_varint(buf)?;
        let bytes = usize::try_from(len).ok().and_then(|len| buf.chunk().get(..len));
        if let Some(Ok(text)) = bytes.map(std::str::from_utf8) {
            let text = self.add(text);
            buf.advance(text.len());
            return Ok(text);
        }
        // In pieces, cut short or no text: it or its error is made from the start.
        let (mut text, mut head) = (String::new(), Vec::new());
        encoding::encode_varint(len, &mut head);
        encoding::string::merge(wire, &mut text, &mut head.as_slice().chain(buf), ctx)?;
        Ok(self.add(&text))
    }

    /// One entry of the map.
    fn read(&mut self, buf: &mut impl Buf, ctx: DecodeContext) -> Result<(), DecodeError> {
        if let Some(length) = self.read_whole(buf.chunk(), ctx.clone()) {
            buf.advance(length);
            return Ok(());
        }
        let mut entry = Entry::default();
        encoding::merge_loop(&mut entry, buf, ctx, |entry, buf, ctx| {
            match encoding::decode_key(buf)? {
                (1, wire) => entry.name = self.read_text(wire, buf, ctx)?,
                (2, wire) => {
                    encoding::check_wire_type(WireType::LengthDelimited, wire)?;
                    encoding::merge_loop(&mut entry.value, buf, ctx, |value, buf, ctx| {
                        self.read_value(value, buf, ctx)
                    })?;
                }
                (tag, wire) => encoding::skip_field(wire, tag, buf, ctx)?,
            }
            Ok(())
        })?;
        self.push(entry);
        Ok(())
    }

    /// An entry as every writer writes it: in one piece, the name, then a value of one kind. Its length
    /// with its head. `None`: another one, or none at all; nothing was read then.
    fn read_whole(&mut self, bytes: &[u8], ctx: DecodeContext) -> Option<usize> {
        let mut after = Bytes(bytes);
        let mut entry = Bytes(after.delimited()?);
        let name = entry.tagged(Self::NAME)?;
        let mut value = Bytes(entry.tagged(Self::VALUE)?);
        let name = std::str::from_utf8(name).ok()?;
        let kind = value.byte()?;
        let mut text = None;
        let sent = match kind {
            0x0a => value.delimited()?.is_empty().then_some(Sent::Null)?,
            0x10 => Sent::Bool(value.varint()? != 0),
            0x18 => Sent::Int(value.varint()?.cast_signed()),
            0x21 => Sent::Double(f64::from_le_bytes(value.take(8)?.try_into().ok()?)),
            0x2a => {
                text = Some(std::str::from_utf8(value.delimited()?).ok()?);
                Sent::Nothing
            }
            0x32 | 0x3a => {
                let mut rest = value.0;
                let sent = if kind == 0x32 {
                    let mut time = Timestamp::default();
                    encoding::message::merge(WireType::LengthDelimited, &mut time, &mut rest, ctx).ok()?;
                    Sent::Timestamp(time)
                } else {
                    let mut list = ValueList::default();
                    encoding::message::merge(WireType::LengthDelimited, &mut list, &mut rest, ctx).ok()?;
                    Sent::List(list)
                };
                value = Bytes(rest);
                sent
            }
            _ => return None,
        };
        if !(value.0.is_empty() && entry.0.is_empty()) {
            return None;
        }
        if self.texts.is_empty() {
            self.texts.reserve(TEXT_BYTES);
        }
        let name = self.add(name);
        let value = text.map_or(sent, |text| Sent::Text(self.add(text)));
        self.push(Entry { name, value });
        Some(bytes.len() - after.0.len())
    }

    const NAME: u8 = 0x0a;
    const VALUE: u8 = 0x12;

    /// One field of a `Value`, of which the last one counts.
    fn read_value(&mut self, value: &mut Sent, buf: &mut impl Buf, ctx: DecodeContext) -> Result<(), DecodeError> {
        *value = match encoding::decode_key(buf)? {
            (1, wire) => {
                encoding::message::merge(wire, &mut NullValue {}, buf, ctx)?;
                Sent::Null
            }
            (2, wire) => {
                let mut read = false;
                encoding::bool::merge(wire, &mut read, buf, ctx)?;
                Sent::Bool(read)
            }
            (3, wire) => {
                let mut read = 0;
                encoding::int64::merge(wire, &mut read, buf, ctx)?;
                Sent::Int(read)
            }
            (4, wire) => {
                let mut read = 0.0;
                encoding::double::merge(wire, &mut read, buf, ctx)?;
                Sent::Double(read)
            }
            (5, wire) => Sent::Text(self.read_text(wire, buf, ctx)?),
            (6, wire) => {
                // Of a message that comes in parts, the parts add up.
                let mut read = if let Sent::Timestamp(before) = value { *before } else { Timestamp::default() };
                encoding::message::merge(wire, &mut read, buf, ctx)?;
                Sent::Timestamp(read)
            }
            (7, wire) => {
                let mut read =
                    if let Sent::List(before) = value { std::mem::take(before) } else { ValueList::default() };
                encoding::message::merge(wire, &mut read, buf, ctx)?;
                Sent::List(read)
            }
            (tag, wire) => return encoding::skip_field(wire, tag, buf, ctx),
        };
        Ok(())
    }
}

/// Writing, as the generated message would: a name or a value that is nothing is left out.
impl Attributes {
    /// Of an entry whose value is so long.
    fn entry_len(entry: &Entry, value: usize) -> usize {
        let name = if entry.name.len() == 0 { 0 } else { delimited(entry.name.len()) };
        let value = if let Sent::Nothing = entry.value { 0 } else { delimited(value) };
        name + value
    }

    fn value_len(value: &Sent) -> usize {
        match value {
            Sent::Nothing => 0,
            Sent::Null => encoding::message::encoded_len(1, &NullValue {}),
            Sent::Bool(value) => encoding::bool::encoded_len(2, value),
            Sent::Int(value) => encoding::int64::encoded_len(3, value),
            Sent::Double(value) => encoding::double::encoded_len(4, value),
            Sent::Text(text) => delimited(text.len()),
            Sent::Timestamp(time) => encoding::message::encoded_len(6, time),
            Sent::List(list) => encoding::message::encoded_len(7, list),
        }
    }

    fn write(&self, entry: &Entry, buf: &mut impl BufMut) {
        let head = |tag, len: usize, buf: &mut _| {
            encoding::encode_key(tag, WireType::LengthDelimited, buf);
            encoding::encode_varint(len as u64, buf);
        };
        let (name, value) = (self.text(entry.name), Self::value_len(&entry.value));
        head(ATTRIBUTES, Self::entry_len(entry, value), buf);
        if !name.is_empty() {
            head(1, name.len(), buf);
            buf.put_slice(name.as_bytes());
        }
        if let Sent::Nothing = entry.value {
            return;
        }
        head(2, value, buf);
        match &entry.value {
            Sent::Nothing => {}
            Sent::Null => encoding::message::encode(1, &NullValue {}, buf),
            Sent::Bool(value) => encoding::bool::encode(2, value, buf),
            Sent::Int(value) => encoding::int64::encode(3, value, buf),
            Sent::Double(value) => encoding::double::encode(4, value, buf),
            Sent::Text(text) => {
                let text = self.text(*text);
                head(5, text.len(), buf);
                buf.put_slice(text.as_bytes());
            }
            Sent::Timestamp(time) => encoding::message::encode(6, time, buf),
            Sent::List(list) => encoding::message::encode(7, list, buf),
        }
    }
}

/// The bytes of something so long with its length and a tag below 16.
fn delimited(len: usize) -> usize {
    1 + encoding::encoded_len_varint(len as u64) + len
}

impl FromIterator<(String, Value)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(values: I) -> Self {
        let mut attributes = Self::default();
        for (name, Value { kind }) in values {
            let name = attributes.add(&name);
            let value = match kind {
                None => Sent::Nothing,
                Some(Kind::NullValue(NullValue {})) => Sent::Null,
                Some(Kind::BoolValue(value)) => Sent::Bool(value),
                Some(Kind::IntValue(value)) => Sent::Int(value),
                Some(Kind::DoubleValue(value)) => Sent::Double(value),
                Some(Kind::StringValue(text)) => Sent::Text(attributes.add(&text)),
                Some(Kind::TimestampValue(time)) => Sent::Timestamp(time),
                Some(Kind::ListValue(list)) => Sent::List(list),
            };
            attributes.entries.push(Entry { name, value });
        }
        attributes
    }
}

impl<const N: usize> From<[(String, Value); N]> for Attributes {
    fn from(values: [(String, Value); N]) -> Self {
        values.into_iter().collect()
    }
}

impl PartialEq for Attributes {
    fn eq(&self, other: &Self) -> bool {
        self.to_map() == other.to_map()
    }
}

/// What was sent, where it lies.
impl condition::Attributes for Attributes {
    fn get(&self, name: &str) -> Fact<'_> {
        let named = |entry: &&Entry| self.text(entry.name) == name;
        self.entries.iter().rev().find(named).map_or(Fact::Missing, |entry| match &entry.value {
            Sent::Nothing => Fact::Missing,
            Sent::Null => Fact::Null,
            Sent::Bool(value) => Fact::Bool(*value),
            Sent::Int(value) => Fact::Int(*value),
            Sent::Double(value) => Fact::Double(*value),
            Sent::Text(text) => Fact::Str(self.text(*text)),
            Sent::Timestamp(time) => Fact::Timestamp(instant(*time)),
            Sent::List(list) => Fact::List(List::Other(list)),
        })
    }
}

impl Message for Record {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        let Self { id, owner, account, attributes } = self;
        for (tag, text) in [(ID, id), (OWNER, owner), (ACCOUNT, account)] {
            if !text.is_empty() {
                encoding::string::encode(tag, text, buf);
            }
        }
        attributes.entries.iter().for_each(|entry| attributes.write(entry, buf));
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            ID => encoding::string::merge(wire, &mut self.id, buf, ctx),
            OWNER => encoding::string::merge(wire, &mut self.owner, buf, ctx),
            ACCOUNT => encoding::string::merge(wire, &mut self.account, buf, ctx),
            ATTRIBUTES => self.attributes.read(buf, ctx),
            _ => encoding::skip_field(wire, tag, buf, ctx),
        }
    }

    fn encoded_len(&self) -> usize {
        let Self { id, owner, account, attributes } = self;
        let texts = [(ID, id), (OWNER, owner), (ACCOUNT, account)].into_iter().filter(|(_, text)| !text.is_empty());
        let entries = attributes
            .entries
            .iter()
            .map(|entry| delimited(Attributes::entry_len(entry, Attributes::value_len(&entry.value))))
            .sum::<usize>();
        texts.map(|(tag, text)| encoding::string::encoded_len(tag, text)).sum::<usize>() + entries
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prost::Message;
    use prost_types::Timestamp;

    use super::super::proto::value::Kind;
    use super::super::proto::{NullValue, Value, ValueList};
    use super::Record;

    /// The message as it would be generated.
    #[derive(Clone, PartialEq, Message)]
    struct Generated {
        #[prost(string, tag = "1")]
        id: String,
        #[prost(string, tag = "2")]
        owner: String,
        #[prost(string, tag = "3")]
        account: String,
        #[prost(btree_map = "string, message", tag = "4")]
        attributes: BTreeMap<String, Value>,
    }

    fn value(rng: &mut fastrand::Rng, depth: u32) -> Value {
        let kind = match rng.u8(..if depth == 0 { 8 } else { 7 }) {
            0 => None,
            1 => Some(Kind::NullValue(NullValue {})),
            2 => Some(Kind::BoolValue(rng.bool())),
            3 => Some(Kind::IntValue(rng.i64(..))),
            4 => Some(Kind::DoubleValue(rng.f64())),
            5 => Some(Kind::StringValue("ü".repeat(rng.usize(..9)))),
            6 => Some(Kind::TimestampValue(Timestamp { seconds: rng.i64(..), nanos: rng.i32(..) })),
            _ => {
                let values = (0..rng.usize(..4)).map(|_| value(rng, depth + 1)).collect();
                Some(Kind::ListValue(ValueList { values }))
            }
        };
        Value { kind }
    }

    #[test]
    fn it_reads_and_writes_what_the_generated_message_does_and_refuses_what_that_refuses() {
        let mut rng = fastrand::Rng::with_seed(4);
        let (mut refused, mut changed) = (0, 0);
        for _ in 0..4_000 {
            let names = ["", "a", "region", "größe"];
            let generated = Generated {
                id: "r".repeat(rng.usize(..3)),
                owner: "o".repeat(rng.usize(..2)),
                account: "x".repeat(rng.usize(..2)),
                attributes: (0..rng.usize(..5))
                    .map(|_| (rng.choice(names).unwrap().to_owned(), value(&mut rng, 0)))
                    .collect(),
            };
            let mut bytes = generated.encode_to_vec();
            let read = Record::decode(&*bytes).unwrap();
            assert_eq!(read.attributes.to_map(), generated.attributes);
            assert_eq!((&read.id, &read.owner, &read.account), (&generated.id, &generated.owner, &generated.account));
            assert_eq!((read.encoded_len(), read.encode_to_vec()), (bytes.len(), bytes.clone()));
            // Twice the same message, in which the later values count; then a byte of it changed.
            bytes.extend_from_within(..);
            for _ in 0..8 {
                if let Some(byte) = rng.usize(..=bytes.len()).checked_sub(1).and_then(|at| bytes.get_mut(at)) {
                    *byte = rng.u8(..);
                }
                match (Record::decode(&*bytes), Generated::decode(&*bytes)) {
                    (Ok(read), Ok(generated)) => {
                        // NaN is not itself.
                        assert_eq!(format!("{:?}", read.attributes.to_map()), format!("{:?}", generated.attributes));
                        assert_eq!(
                            (read.id, read.owner, read.account),
                            (generated.id, generated.owner, generated.account)
                        );
                        changed += 1;
                    }
                    (Err(_), Err(_)) => refused += 1,
                    (read, generated) => panic!("{read:?} but {generated:?} of {bytes:?}"),
                }
            }
        }
        assert!(refused > 1_000 && changed > 1_000, "{refused} refused, {changed} read");
    }
}
