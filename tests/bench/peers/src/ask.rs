//! The questions as each peer is asked them, made into bytes beforehand, and what its replies say.

use std::collections::HashMap;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost_types::value::Kind as Of;
use serde_json::{Value, json};

use crate::files::{ORGANIZATION, flat};
use crate::wire::{cerbos, doorward, openfga, spicedb};
use crate::world::{Kind, Question, Record, World};

/// Cerbos' own largest batch.
const CERBOS_BATCH: usize = 500;

/// Who is asked, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Doorward,
    /// The caller sends the groups that the user is in; policies resolve the rest.
    Cerbos,
    /// The caller sends the roles that the user holds at the object.
    CerbosRoles,
    SpiceDb,
    OpenFga,
    /// Roles and nested groups resolved when asked.
    Opa,
    /// Both resolved when the data is written.
    OpaFlat,
}

impl Peer {
    pub fn parse(name: &str) -> Self {
        match name {
            "doorward" => Self::Doorward,
            "cerbos" => Self::Cerbos,
            "cerbos-roles" => Self::CerbosRoles,
            "spicedb" => Self::SpiceDb,
            "openfga" => Self::OpenFga,
            "opa" => Self::Opa,
            "opa-flat" => Self::OpaFlat,
            _ => panic!("no peer `{name}`"),
        }
    }

    /// Whether it is asked over HTTP/1.1, one request at a time on a connection.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Opa | Self::OpaFlat)
    }

    /// What a call goes to.
    pub fn path(self, kind: Kind) -> &'static str {
        match (self, kind) {
            (Self::Doorward, Kind::Filter) => "/doorward.v1.DecisionService/FilterRecords",
            (Self::Doorward, _) => "/doorward.v1.DecisionService/Authorize",
            (Self::Cerbos | Self::CerbosRoles, _) => "/cerbos.svc.v1.CerbosService/CheckResources",
            (Self::SpiceDb, Kind::Filter) => "/authzed.api.v1.PermissionsService/CheckBulkPermissions",
            (Self::SpiceDb, _) => "/authzed.api.v1.PermissionsService/CheckPermission",
            (Self::OpenFga, Kind::Filter) => "/openfga.v1.OpenFGAService/BatchCheck",
            (Self::OpenFga, _) => "/openfga.v1.OpenFGAService/Check",
            (Self::Opa, Kind::Plain) => "/v1/data/authz/allow",
            (Self::Opa, Kind::Condition) => "/v1/data/authz/allow_record",
            (Self::Opa, Kind::Filter) => "/v1/data/authz/passing",
            (Self::OpaFlat, Kind::Plain) => "/v1/data/flat/allow",
            (Self::OpaFlat, Kind::Condition) => "/v1/data/flat/allow_record",
            (Self::OpaFlat, Kind::Filter) => "/v1/data/flat/passing",
        }
    }
}

/// Where it is, and by which names it knows things.
#[derive(Debug, Clone, Default)]
pub struct Place {
    pub address: String,
    pub authorization: Option<String>,
    /// OpenFGA's.
    pub store: String,
    pub model: String,
}

/// One question, ready to be sent.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Calls that together ask it.
    pub calls: Vec<Bytes>,
    pub expected: Vec<bool>,
}

/// Makes the question into bytes.
pub fn prepare(world: &World, peer: Peer, kind: Kind, place: &Place, question: &Question) -> Prepared {
    let asked = Asked {
        user: &world.users[question.user].id,
        region: &world.users[question.user].region,
        object: &world.objects[question.object],
        permission: &world.permissions[question.permission],
        records: &question.records,
    };
    let calls = match (peer, kind) {
        (Peer::Doorward, Kind::Filter) => vec![asked.filter_records()],
        (Peer::Doorward, _) => vec![asked.authorize()],
        (Peer::Cerbos | Peer::CerbosRoles, _) => asked.check_resources(world, question, peer, kind),
        (Peer::SpiceDb, Kind::Filter) => vec![asked.check_bulk()],
        (Peer::SpiceDb, _) => vec![asked.check_permission(kind)],
        (Peer::OpenFga, Kind::Filter) => vec![asked.batch_check(place)],
        (Peer::OpenFga, _) => vec![asked.check(kind, place)],
        (Peer::Opa | Peer::OpaFlat, _) => vec![asked.data(kind, peer, place)],
    };
    Prepared { calls, expected: question.expected.clone() }
}

/// What the replies to the calls say, one answer for each thing asked about; an error where a reply
/// is no answer.
pub fn answers(peer: Peer, kind: Kind, replies: &[Bytes], asked: usize) -> Result<Vec<bool>, String> {
    let wrong = |error: prost::DecodeError| error.to_string();
    let mut all = Vec::new();
    for reply in replies {
        let body = if peer.is_http() { reply.clone() } else { reply.slice(5..) };
        match (peer, kind) {
            (Peer::Doorward, Kind::Filter) => {
                let reply = doorward::FilterRecordsResponse::decode(body).map_err(wrong)?;
                let bit = |n: usize| reply.bitmap.get(n / 8).is_some_and(|byte| byte >> (n % 8) & 1 == 1);
                all.extend((0..asked).map(bit));
            }
            (Peer::Doorward, _) => {
                let reply = doorward::AuthorizeResponse::decode(body).map_err(wrong)?;
                all.push(reply.decision == 1);
            }
            (Peer::Cerbos | Peer::CerbosRoles, _) => {
                let reply = cerbos::CheckResourcesResponse::decode(body).map_err(wrong)?;
                all.extend(reply.results.iter().map(|r| r.actions.values().eq([&1])));
            }
            (Peer::SpiceDb, Kind::Filter) => {
                let reply = spicedb::CheckBulkPermissionsResponse::decode(body).map_err(wrong)?;
                for pair in reply.pairs {
                    all.push(said(pair.item.ok_or("an item failed")?.permissionship)?);
                }
            }
            (Peer::SpiceDb, _) => {
                all.push(said(spicedb::CheckPermissionResponse::decode(body).map_err(wrong)?.permissionship)?)
            }
            (Peer::OpenFga, Kind::Filter) => {
                let reply = openfga::BatchCheckResponse::decode(body).map_err(wrong)?;
                for n in 0..asked {
                    let result = reply.result.get(&n.to_string()).ok_or("an item is missing")?;
                    // A oneof: false is said, an error is not.
                    all.push(result.allowed.ok_or_else(|| format!("an item failed: {:?}", result.error))?);
                }
            }
            (Peer::OpenFga, _) => all.push(openfga::CheckResponse::decode(body).map_err(wrong)?.allowed),
            (Peer::Opa | Peer::OpaFlat, kind) => {
                let reply: Value = serde_json::from_slice(&body).map_err(|e| e.to_string())?;
                let result = reply.get("result").ok_or_else(|| format!("no result: {reply}"))?;
                if kind == Kind::Filter {
                    let passing = result.as_array().ok_or("no list")?;
                    let mut said = vec![false; asked];
                    passing.iter().filter_map(Value::as_u64).for_each(|n| said[n as usize] = true);
                    all.extend(said);
                } else {
                    all.push(result.as_bool().ok_or("no truth value")?);
                }
            }
        }
    }
    Ok(all)
}

fn said(permissionship: i32) -> Result<bool, String> {
    match permissionship {
        1 => Ok(false),
        2 => Ok(true),
        other => Err(format!("permissionship {other}")),
    }
}

/// A message with the head that gRPC gives it.
fn framed(message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.encoded_len()).unwrap());
    message.encode(&mut bytes).unwrap();
    bytes.freeze()
}

fn text(text: &str) -> prost_types::Value {
    prost_types::Value { kind: Some(Of::StringValue(text.to_owned())) }
}

fn number(number: f64) -> prost_types::Value {
    prost_types::Value { kind: Some(Of::NumberValue(number)) }
}

fn list<'a>(texts: impl Iterator<Item = &'a str>) -> prost_types::Value {
    prost_types::Value { kind: Some(Of::ListValue(prost_types::ListValue { values: texts.map(text).collect() })) }
}

struct Asked<'a> {
    user: &'a str,
    region: &'a str,
    object: &'a str,
    permission: &'a str,
    records: &'a [Record],
}

impl Asked<'_> {
    fn authorize(&self) -> Bytes {
        let value = |string, double| doorward::Value { string, double };
        let record = self.records.first().map(|r| {
            let attributes = [("region", value(Some(r.region.clone()), None)), ("amount", value(None, Some(r.amount)))];
            let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            doorward::Record { id: r.id.clone(), attributes }
        });
        framed(&doorward::AuthorizeRequest {
            organization: ORGANIZATION.to_owned(),
            principal: format!("user:{}", self.user),
            permission: self.permission.to_owned(),
            resource: Some(doorward::Resource { object: self.object.to_owned(), record }),
        })
    }

    /// By column, with a bitmap for an answer: what a caller with many records is advised to send.
    fn filter_records(&self) -> Bytes {
        let mut ids = doorward::StringColumn::default();
        let mut regions = doorward::StringColumn::default();
        let mut known: HashMap<&str, u32> = HashMap::new();
        for record in self.records {
            ids.text.push_str(&record.id);
            ids.lengths.push(record.id.len() as u32);
            let next = known.len() as u32;
            let index = *known.entry(&record.region).or_insert_with(|| {
                regions.text.push_str(&record.region);
                regions.lengths.push(record.region.len() as u32);
                next
            });
            regions.indexes.push(index);
        }
        let amounts = doorward::DoubleColumn { values: self.records.iter().map(|r| r.amount).collect() };
        let column = |name: &str, strings, doubles| doorward::Column { name: name.to_owned(), doubles, strings };
        framed(&doorward::FilterRecordsRequest {
            organization: ORGANIZATION.to_owned(),
            principal: format!("user:{}", self.user),
            permission: self.permission.to_owned(),
            object: self.object.to_owned(),
            columns: Some(doorward::RecordColumns {
                ids: Some(ids),
                attributes: vec![column("region", Some(regions), None), column("amount", None, Some(amounts))],
            }),
            bitmap: true,
        })
    }

    fn check_resources(&self, world: &World, question: &Question, peer: Peer, kind: Kind) -> Vec<Bytes> {
        let mut principal = cerbos::Principal { id: self.user.to_owned(), ..Default::default() };
        principal.roles.push("user".to_owned());
        if kind != Kind::Plain {
            principal.attr.insert("region".to_owned(), text(self.region));
        }
        let roles = peer == Peer::CerbosRoles;
        if roles {
            let held = world.held(question.user).remove(&question.object).unwrap_or_default();
            principal.roles.extend(held.iter().map(|r| world.roles[*r].id.clone()));
        } else {
            let groups = world.users[question.user].groups.iter().map(|g| world.groups[*g].id.as_str());
            principal.attr.insert("groups".to_owned(), list(groups));
        }
        let of = match (roles, kind) {
            (true, Kind::Plain) => "object".to_owned(),
            (true, _) => "record".to_owned(),
            (false, Kind::Plain) => format!("at_{}", self.object),
            (false, _) => format!("at_{}_record", self.object),
        };
        let entry = |id: &str, record: Option<&Record>| {
            let mut attr = HashMap::new();
            if let Some(record) = record {
                attr.insert("region".to_owned(), text(&record.region));
                attr.insert("amount".to_owned(), number(record.amount));
            }
            let resource = cerbos::Resource { kind: of.clone(), id: id.to_owned(), attr };
            cerbos::ResourceEntry { actions: vec![flat(self.permission)], resource: Some(resource) }
        };
        let entries: Vec<_> = match kind {
            Kind::Plain => vec![entry(self.object, None)],
            _ => self.records.iter().map(|r| entry(&r.id, Some(r))).collect(),
        };
        let call = |resources: &[cerbos::ResourceEntry]| {
            framed(&cerbos::CheckResourcesRequest { principal: Some(principal.clone()), resources: resources.to_vec() })
        };
        entries.chunks(CERBOS_BATCH).map(call).collect()
    }

    /// What the condition reads.
    fn context(&self, record: &Record) -> prost_types::Struct {
        let fields =
            [("region", text(&record.region)), ("user_region", text(self.region)), ("amount", number(record.amount))];
        prost_types::Struct { fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
    }

    /// The permission as relations know it, with the condition or without.
    fn relation(&self, kind: Kind) -> String {
        let permission = flat(self.permission);
        if kind == Kind::Plain { permission } else { format!("see_{permission}") }
    }

    fn references(&self) -> (spicedb::Consistency, spicedb::ObjectReference, spicedb::SubjectReference) {
        let reference =
            |of: &str, id: &str| spicedb::ObjectReference { object_type: of.to_owned(), object_id: id.to_owned() };
        (
            spicedb::Consistency { minimize_latency: Some(true) },
            reference("object", self.object),
            spicedb::SubjectReference { object: Some(reference("user", self.user)) },
        )
    }

    fn check_permission(&self, kind: Kind) -> Bytes {
        let (consistency, resource, subject) = self.references();
        framed(&spicedb::CheckPermissionRequest {
            consistency: Some(consistency),
            resource: Some(resource),
            permission: self.relation(kind),
            subject: Some(subject),
            context: self.records.first().map(|r| self.context(r)),
        })
    }

    fn check_bulk(&self) -> Bytes {
        let (consistency, resource, subject) = self.references();
        let item = |record: &Record| spicedb::Item {
            resource: Some(resource.clone()),
            permission: self.relation(Kind::Filter),
            subject: Some(subject.clone()),
            context: Some(self.context(record)),
        };
        framed(&spicedb::CheckBulkPermissionsRequest {
            consistency: Some(consistency),
            items: self.records.iter().map(item).collect(),
        })
    }

    fn tuple(&self, kind: Kind) -> openfga::TupleKey {
        openfga::TupleKey {
            user: format!("user:{}", self.user),
            relation: self.relation(kind),
            object: format!("object:{}", self.object),
        }
    }

    fn check(&self, kind: Kind, place: &Place) -> Bytes {
        framed(&openfga::CheckRequest {
            store_id: place.store.clone(),
            tuple_key: Some(self.tuple(kind)),
            authorization_model_id: place.model.clone(),
            context: self.records.first().map(|r| self.context(r)),
        })
    }

    fn batch_check(&self, place: &Place) -> Bytes {
        let item = |(n, record): (usize, &Record)| openfga::BatchCheckItem {
            tuple_key: Some(self.tuple(Kind::Filter)),
            context: Some(self.context(record)),
            correlation_id: n.to_string(),
        };
        framed(&openfga::BatchCheckRequest {
            store_id: place.store.clone(),
            checks: self.records.iter().enumerate().map(item).collect(),
            authorization_model_id: place.model.clone(),
        })
    }

    /// OPA's data API: the whole of an HTTP/1.1 request.
    fn data(&self, kind: Kind, peer: Peer, place: &Place) -> Bytes {
        let mut input = json!({"user": self.user, "object": self.object, "permission": self.permission});
        let of = |r: &Record| json!({"region": r.region, "amount": r.amount});
        match kind {
            Kind::Plain => {}
            Kind::Condition => input["record"] = of(&self.records[0]),
            Kind::Filter => input["records"] = self.records.iter().map(of).collect(),
        }
        crate::send::post(&place.address, peer.path(kind), &json!({"input": input}))
    }
}
