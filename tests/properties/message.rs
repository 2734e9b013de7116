//! The columns as a message has them, and what the service makes of that.

use doorward::core::columns::Values;
use doorward::service::proto as pb;

use super::{Blob, Cells, Sheet};

impl Blob {
    fn message(&self) -> pb::StringColumn {
        let indexes = self.indexes.clone().unwrap_or_default();
        pb::StringColumn { text: self.text.clone(), lengths: self.lengths.clone(), indexes }
    }
}

impl Sheet {
    /// As a client sends them.
    pub fn message(&self) -> pb::RecordColumns {
        pb::RecordColumns {
            ids: Some(self.ids.message()),
            owners: self.owners.as_ref().map(Blob::message),
            accounts: self.accounts.as_ref().map(Blob::message),
            attributes: self.columns.iter().map(Cells::message).collect(),
        }
    }
}

impl Cells {
    fn message(&self) -> pb::Column {
        use pb::column::Values as Sent;
        let values = match self.values() {
            Values::Bools(values) => Sent::Bools(pb::BoolColumn { values: values.into() }),
            Values::Ints(values) => Sent::Ints(pb::IntColumn { values: values.into() }),
            Values::Doubles(values) => Sent::Doubles(pb::DoubleColumn { values: values.into() }),
            Values::Timestamps(values) => Sent::Timestamps(pb::TimestampColumn { unix_millis: values.into() }),
            Values::Texts(_) => Sent::Strings(self.texts.message()),
        };
        pb::Column {
            name: self.name.clone(),
            missing: self.missing.clone(),
            list_lengths: self.lengths.clone().unwrap_or_default(),
            values: Some(values),
        }
    }
}
