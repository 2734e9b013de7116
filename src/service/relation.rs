//! `RelationService`.

use std::collections::BTreeMap;
use std::sync::Arc;

use tonic::{Request, Response};

use crate::core::change::{Change, Effect};
use crate::core::id::{Id, OpaqueId};
use crate::core::model::{Key, Member, Related, Relation, Row};
use crate::core::table::Table;

use super::admin::{Admin, Planned, Reply, found};
use super::convert::relation as convert;
use super::fields::Fields;
use super::paging::Page;
use super::proto::relation_service_server::RelationService;
use super::proto::{
    BatchReportRelationsRequest, BatchReportRelationsResponse, ForgetRecordRequest, ForgetRecordResponse,
    ListRelationsRequest, ListRelationsResponse, ReportRelationRequest, ReportRelationResponse,
};
use super::refusal::Refusal;
use super::report::{Report, revision_of};
use super::request::{reading, writing};

/// Reports in one call.
const MAX_REPORTS: usize = 10_000;

#[tonic::async_trait]
impl RelationService for Admin {
    async fn report_relation(&self, request: Request<ReportRelationRequest>) -> Reply<ReportRelationResponse> {
        let (call, report) = writing(request, |f, m| {
            let ReportRelationRequest { organization: _, report, request_id: _, validate_only: _ } = m;
            f.message("report", report, convert::report)
        })?;
        let plan = move |table: &Table| Ok(reported(table, vec![report]));
        self.write(call, plan, |o| ReportRelationResponse { revision: o.revision(), changed: !o.0.effects.is_empty() })
            .await
    }

    async fn batch_report_relations(
        &self,
        request: Request<BatchReportRelationsRequest>,
    ) -> Reply<BatchReportRelationsResponse> {
        let (call, reports) = writing(request, |f, m| {
            let BatchReportRelationsRequest { organization: _, reports, request_id: _, validate_only: _ } = m;
            f.at_most("reports", reports.len(), MAX_REPORTS);
            if reports.is_empty() {
                f.refuse("reports", "is required");
            }
            f.list("reports", reports, convert::report)
        })?;
        let plan = move |table: &Table| Ok(reported(table, reports));
        self.write(call, plan, |o| {
            let (added, removed) = moved(o);
            BatchReportRelationsResponse { revision: o.revision(), added, removed }
        })
        .await
    }

    async fn list_relations(&self, request: Request<ListRelationsRequest>) -> Reply<ListRelationsResponse> {
        let (read, (page, asked)) = reading(request, |f, mut m| {
            let page = Page::take(f, "ListRelations", &mut m);
            page.zip(Asked::new(f, m))
        })?;
        let table = self.table(&read).await?;
        let all = asked.list(&table).await?;
        let name = |r: &Related| format!("{}\0{}\0{}\0{}", r.object, r.record, r.relation as u8, r.member);
        let (page, next_page_token) = page.of_sorted(table.history(), all, name)?;
        let relations = page.iter().map(convert::to_related).collect();
        Ok(Response::new(ListRelationsResponse { relations, revision: Some(revision_of(&table)), next_page_token }))
    }

    async fn forget_record(&self, request: Request<ForgetRecordRequest>) -> Reply<ForgetRecordResponse> {
        let (call, (object, record)) = writing(request, |f, m| {
            let ForgetRecordRequest { organization: _, object, record, request_id: _, validate_only: _ } = m;
            let object = f.parse::<Id>("object", &object);
            object.zip(f.parse::<OpaqueId>("record", &record))
        })?;
        let key = Key::Object(object.clone());
        let remains = key.clone();
        let plan = move |table: &Table| -> Planned {
            found(table.object_row(&object), || key)?;
            Ok(vec![Change::Forget { object, record }])
        };
        self.write(call, plan, move |o| ForgetRecordResponse {
            revision: o.revision(),
            removed: Some(o.removed(&remains)),
        })
        .await
    }
}

/// What reports in their order come to: the last one of a relation says whether it holds.
fn reported(table: &Table, reports: Vec<(Related, bool)>) -> Vec<Change> {
    let last: BTreeMap<Key, (Row, bool)> = reports
        .into_iter()
        .map(|(related, holds)| {
            let row = Row::Related(related);
            (row.key(), (row, holds))
        })
        .collect();
    let (mut ended, mut begun) = (Vec::new(), Vec::new());
    for (key, (row, holds)) in last {
        match (table.row(&key).is_some(), holds) {
            (true, false) => ended.push(key),
            (false, true) => begun.push(Change::Create(row)),
            _ => {}
        }
    }
    // First those that end: they make room at a full record.
    let ended = (!ended.is_empty()).then_some(Change::Delete { keys: ended, etag: None });
    ended.into_iter().chain(begun).collect()
}

/// How many relations a write began, and how many it ended.
fn moved(report: Report<'_>) -> (u64, u64) {
    report.0.effects.iter().fold((0, 0), |(added, removed), (_, effect)| match effect {
        Effect::Created => (added + 1, removed),
        Effect::Deleted => (added, removed + 1),
        Effect::Updated => (added, removed),
    })
}

/// Which relations a list asks for.
struct Asked {
    object: Option<Id>,
    record: Option<OpaqueId>,
    member: Option<Member>,
    relation: Option<Relation>,
}

impl Asked {
    fn new(f: &mut Fields, message: ListRelationsRequest) -> Option<Self> {
        let ListRelationsRequest {
            organization: _,
            object,
            record,
            member,
            relation,
            min_revision: _,
            page_size: _,
            page_token: _,
        } = message;
        if object.is_empty() && !record.is_empty() {
            f.refuse("object", "is required where `record` is given");
        } else if object.is_empty() && member.is_empty() {
            f.refuse("object", "is required where `member` is not given");
        }
        let (object, record) = (f.parse_optional("object", &object), f.parse_optional("record", &record));
        let (member, relation) = (f.parse_optional("member", &member), convert::relation(f, "relation", relation));
        Some(Self { object: object?, record: record?, member: member?, relation: relation? })
    }

    fn admits(&self, related: &Related) -> bool {
        self.member.as_ref().is_none_or(|member| related.member == *member)
            && self.relation.is_none_or(|relation| related.relation == relation)
    }

    /// Those of a record are found; for any other list all relations of the object, or of the
    /// organization, are looked at, beside the runtime.
    async fn list(self, table: &Arc<Table>) -> Result<Vec<Related>, Refusal> {
        if let (Some(object), Some(record)) = (&self.object, &self.record) {
            let rows = table.record_rows(object, record).into_iter();
            let related = rows.filter_map(|row| if let Row::Related(r) = row { Some(r) } else { None });
            return Ok(related.filter(|r| self.admits(r)).collect());
        }
        let table = Arc::clone(table);
        let list = move || table.relations(self.object.as_ref()).filter(|r| self.admits(r)).collect();
        tokio::task::spawn_blocking(list).await.map_err(|_| Refusal::Internal("listing relations failed"))
    }
}
