//! `ApplyOrganization`: a stream of rows that becomes the organization, in one revision.
//!
//! Rows are converted as they come and kept in memory, bounded by number and bytes; nothing shows
//! before the end was received. What rows leave open (a user's kind and account) is known only then.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use prost::Message;
use sha2::{Digest, Sha256};
use tokio_stream::StreamExt;
use tonic::Status;

use crate::core::change::Change;
use crate::core::id::{Id, OpaqueId};
use crate::core::model::{
    Account, Group, GroupKind, Key, Member, Row, SafelistElement, Settings, Status as PrincipalStatus, Visibility,
};
use crate::core::table::{SYSTEM_GROUPS, Table};
use crate::engine::{Call, Create};

use super::super::Caller;
use super::super::access::{Authority, Touched};
use super::super::admin::{Admin, Planned, Reply};
use super::super::convert::principal::Defaults;
use super::super::convert::row::{Staged, row};
use super::super::fields::Fields;
use super::super::proto::{self, apply_organization_request::Part};
use super::super::proto::{
    ApplyEnd, ApplyHeader, ApplyOrganizationRequest, ApplyOrganizationResponse, Revision, RowBatch,
};
use super::super::refusal::Refusal;
use super::super::report::Report;
use super::super::request::{Writing, check_request_id, names};
use super::main_account;

const METHOD: &str = "doorward.v1.OrganizationService/ApplyOrganization";
/// Rows that one call may bring.
const MAX_ROWS: usize = 2_000_000;
/// Bytes that one call may bring.
const MAX_BYTES: usize = 1 << 30;

impl Admin {
    /// Applies what a stream brings.
    pub(in crate::service) async fn apply(
        &self,
        caller: Caller,
        mut parts: impl tokio_stream::Stream<Item = Result<ApplyOrganizationRequest, Status>> + Unpin + Send,
    ) -> Reply<ApplyOrganizationResponse> {
        let mut staging = Staging::of(caller);
        while let Some(part) = parts.next().await {
            staging.take(part?)?;
        }
        // Millions of rows are folded beside the runtime, as they are applied.
        let finish = move || {
            let (call, job) = staging.finish()?;
            let sent = job.deactivate_missing.then(|| job.sent());
            Ok::<_, Refusal>((call, job, sent))
        };
        let finished = tokio::task::spawn_blocking(finish).await;
        let (call, job, sent) = finished.map_err(|_| Refusal::Internal("folding rows failed"))??;
        self.write(call, move |table| job.plan(table), move |report| reply(report, sent.as_ref())).await
    }
}

/// What was received so far.
struct Staging {
    caller: Caller,
    header: Option<(ApplyHeader, Authority)>,
    rows: Vec<Staged>,
    received: usize,
    bytes: usize,
    digest: Sha256,
    fields: Fields,
    ended: bool,
}

impl Staging {
    fn of(caller: Caller) -> Self {
        let (rows, digest, fields) = (Vec::new(), Sha256::default(), Fields::default());
        Self { caller, header: None, rows, received: 0, bytes: 0, digest, fields, ended: false }
    }

    fn take(&mut self, message: ApplyOrganizationRequest) -> Result<(), Refusal> {
        let ApplyOrganizationRequest { part } = message;
        match part {
            None => Err(Refusal::Stream("a message has no part")),
            Some(_) if self.ended => Err(Refusal::Stream("something follows the end")),
            Some(Part::Header(_)) if self.header.is_some() => Err(Refusal::Stream("there are two headers")),
            Some(Part::Header(header)) => {
                // Before its rows are taken in.
                let authority = Authority::new(&self.caller, &header.organization, METHOD, &|| Touched::Organization)?;
                let plain = ApplyHeader { request_id: String::new(), ..header.clone() };
                self.digest.update(plain.encode_length_delimited_to_vec());
                self.header = Some((header, authority));
                Ok(())
            }
            Some(_) if self.header.is_none() => Err(Refusal::Stream("the first message must be the header")),
            Some(Part::Rows(batch)) => self.batch(batch),
            Some(Part::End(ApplyEnd { row_count })) => {
                self.ended = true;
                if row_count == self.received as u64 {
                    return Ok(());
                }
                Err(Refusal::Stream("another number of rows was received than the end says was sent"))
            }
        }
    }

    fn batch(&mut self, batch: RowBatch) -> Result<(), Refusal> {
        let encoded = batch.encode_to_vec();
        self.bytes += encoded.len();
        if self.bytes > MAX_BYTES {
            return Err(Refusal::TooMuch { what: "bytes", limit: MAX_BYTES });
        }
        // The digest is of the rows, however they are cut into messages.
        self.digest.update(&encoded);
        let RowBatch { rows } = batch;
        if self.received + rows.len() > MAX_ROWS {
            return Err(Refusal::TooMuch { what: "rows", limit: MAX_ROWS });
        }
        for message in rows {
            let index = self.received;
            self.received += 1;
            let fields = &mut self.fields;
            self.rows.extend(fields.within("rows", |f| f.item(index, |f| row(f, message))));
        }
        Ok(())
    }

    fn finish(self) -> Result<(Writing, Job), Refusal> {
        let Self { caller, header, rows, received: _, bytes: _, digest, mut fields, ended } = self;
        let (header, authority) = header.ok_or(Refusal::Stream("the stream has no header"))?;
        if !ended {
            return Err(Refusal::Stream("the stream broke off before its end"));
        }
        let ApplyHeader {
            organization,
            create_if_missing,
            deactivate_missing_users,
            expected_revision,
            request_id,
            validate_only,
        } = header;
        let organization = fields.within("header", |f| {
            check_request_id(f, &request_id);
            f.parse::<Id>("organization", &organization)
        });
        let folded = fold(&mut fields, organization.as_ref(), rows);
        let (organization, folded) = fields.finish(organization.zip(folded))?;
        let create = if create_if_missing { Create::IfMissing } else { Create::Never };
        let body = digest.finalize().into();
        let (caller, on_behalf_of, peer) = names(caller);
        let method = METHOD;
        let call = Call { organization, caller, on_behalf_of, peer, method, request_id, body, validate_only, create };
        let job = Job { folded, expected_revision, deactivate_missing: deactivate_missing_users };
        Ok((Writing { call, authority: Arc::new(authority) }, job))
    }
}

/// Rows with the memberships folded into their members.
struct Folded {
    settings: Settings,
    rows: Vec<Row>,
    accounts: Vec<Account>,
    principals: Vec<(Staged, Vec<Id>)>,
}

/// A membership stands in the row of its member.
fn fold(fields: &mut Fields, organization: Option<&Id>, staged: Vec<Staged>) -> Option<Folded> {
    let mut memberships: BTreeMap<Member, Vec<Id>> = BTreeMap::new();
    let mut found = None;
    let (mut accounts, mut rows, mut members) = (Vec::new(), Vec::new(), Vec::new());
    for row in staged {
        match row {
            Staged::Settings(..) if found.is_some() => fields.refuse("rows", "have more than one organization"),
            Staged::Settings(id, settings) => {
                if organization.is_some_and(|o| *o != id) {
                    fields.refuse("rows", format_args!("have organization `{id}`, not that of the header"));
                }
                found = Some(settings);
            }
            Staged::Account(account) => accounts.push(account),
            Staged::Permission(permission) => rows.push(Row::Permission(permission)),
            Staged::Object(object) => rows.push(Row::Object(object)),
            Staged::Role(role) => rows.push(Row::Role(role)),
            Staged::Assignment(assignment) => rows.push(Row::Assignment(assignment)),
            Staged::Grants(grants) => rows.extend(grants.into_iter().map(Row::Grant)),
            Staged::Policy(policy) => rows.push(Row::Policy(policy)),
            Staged::Separation(separation) => rows.push(Row::Separation(separation)),
            Staged::Emergency(rule) => rows.push(Row::Emergency(rule)),
            Staged::Related(related) => rows.push(Row::Related(related)),
            Staged::SafelistElement(element) => rows.push(Row::SafelistElement(SafelistElement { element })),
            Staged::Membership(group, member) => memberships.entry(member).or_default().push(group),
            Staged::Group(_) | Staged::User(_) | Staged::Service(_) => members.push(row),
        }
    }
    if found.is_none() && fields.is_empty() {
        fields.refuse("rows", "have no organization");
    }
    let mut principals = Vec::new();
    for row in members {
        let member = match &row {
            Staged::Group(group) => Member::Group(group.id.clone()),
            Staged::User(user) => Member::User(user.id().clone()),
            Staged::Service(service) => Member::Service(service.id().clone()),
            _ => continue,
        };
        let mut groups = memberships.remove(&member).unwrap_or_default();
        groups.sort();
        if let Some([twice, _]) = groups.array_windows().find(|[a, b]| a == b) {
            fields.refuse("rows", format_args!("have the membership of `{member}` in `{twice}` twice"));
        }
        match row {
            Staged::Group(group) => rows.push(Row::Group(Group { groups, ..group })),
            row => principals.push((row, groups)),
        }
    }
    for (member, groups) in memberships {
        // A system group is there without a row.
        if let Member::Group(id) = &member
            && SYSTEM_GROUPS.contains(&id.as_str())
        {
            rows.push(Row::Group(system_group(id.clone(), groups)));
            continue;
        }
        let group = groups.first().map_or("", Id::as_str);
        fields.refuse("rows", format_args!("have a membership in `{group}` of `{member}`, but no row of it"));
    }
    Some(Folded { settings: found?, rows, accounts, principals })
}

fn system_group(id: Id, groups: Vec<Id>) -> Group {
    let (name, photo_uri, visibility) = (String::new(), String::new(), Visibility::default());
    Group { id, name, kind: GroupKind::System, photo_uri, visibility, groups }
}

/// What is to be applied.
struct Job {
    folded: Folded,
    expected_revision: Option<Revision>,
    deactivate_missing: bool,
}

impl Job {
    /// The users that have a row.
    fn sent(&self) -> HashSet<OpaqueId> {
        let users = self.folded.principals.iter().filter_map(|(row, _)| match row {
            Staged::User(user) => Some(user.id().clone()),
            _ => None,
        });
        users.collect()
    }

    fn plan(self, table: &Table) -> Planned {
        if let Some(Revision { history, number }) = self.expected_revision
            && !(number == table.revision() && (history.is_empty() || *history == **table.history()))
        {
            let (organization, found) = (table.id().clone(), table.revision());
            return Err(Refusal::RevisionMoved { organization, expected: number, found });
        }
        let rows = self.folded.into_rows();
        Ok(vec![Change::Replace { rows, deactivate_missing: self.deactivate_missing }])
    }
}

impl Folded {
    /// The rows, with what they leave open filled in.
    fn into_rows(self) -> Vec<Row> {
        let Self { settings, mut rows, mut accounts, principals } = self;
        if accounts.is_empty() {
            accounts.extend(main_account());
        }
        let defaults = Defaults {
            account: accounts.iter().find(|a| a.default).map(|a| a.id.clone()),
            email_domains: settings.email_domains.clone(),
        };
        for (row, groups) in principals {
            rows.extend(match row {
                Staged::User(user) => user.resolve(&defaults, groups).map(Row::User),
                Staged::Service(service) => service.resolve(&defaults, groups).map(Row::Service),
                _ => None,
            });
        }
        rows.extend(accounts.into_iter().map(Row::Account));
        rows.push(Row::Settings(settings));
        rows
    }
}

/// The rows that an export of `organization` sent, for clients.
///
/// # Errors
/// Everything that makes no organization of them.
pub fn rows(organization: &Id, messages: Vec<proto::Row>) -> Result<Vec<Row>, Status> {
    let mut fields = Fields::default();
    let mut staged = Vec::with_capacity(messages.len());
    for (index, message) in messages.into_iter().enumerate() {
        staged.extend(fields.within("rows", |f| f.item(index, |f| row(f, message))));
    }
    let folded = fold(&mut fields, Some(organization), staged);
    Ok(fields.finish(folded)?.into_rows())
}

/// `sent` are the users with a row, where those without one are deactivated.
fn reply(report: Report<'_>, sent: Option<&HashSet<OpaqueId>>) -> ApplyOrganizationResponse {
    let (changes, counts) = report.changes_and_counts();
    let inactive = |table: &Table, id: &OpaqueId| {
        table.find_user(id).is_some_and(|f| f.value.status() == PrincipalStatus::Inactive)
    };
    let outcome = report.0;
    let deactivated = outcome.effects.iter().filter(|(key, _)| match (key, sent) {
        (Key::User(id), Some(sent)) => {
            !sent.contains(id) && inactive(&outcome.after, id) && !inactive(&outcome.before, id)
        }
        _ => false,
    });
    let users_deactivated = deactivated.count() as u64;
    ApplyOrganizationResponse {
        revision: report.revision(),
        unchanged: outcome.effects.is_empty(),
        created: counts.created,
        updated: counts.updated,
        deleted: counts.deleted,
        users_deactivated,
        changes,
        email_domain_effects: report.email_domain_effects(),
    }
}
