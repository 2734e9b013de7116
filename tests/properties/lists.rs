//! A change of the lists of elements (rule 4.4) that random changes seldom make.

use doorward::core::change::Change;
use doorward::core::decision::{Question, Reason, Resource, decide};
use serde_json::{Value, json};

use crate::support::{applied, rows, table};

#[test]
fn m4_4_a_safelist_that_is_emptied_closes_nothing() {
    let file = |safelist: Value| {
        json!({
            "organization": "acme",
            "permissions": [{"name": "element.use"}],
            "objects": [{"id": "one", "kind": "element"}, {"id": "other", "kind": "element"}],
            "users": [{"id": "ana", "email": "ana@acme.com"}],
            "grants": [{"permissions": ["element.use"], "member": "user:ana"}],
            "element_safelist": safelist,
        })
    };
    let listed = table(&file(json!(["one"])));
    let rows = rows(&file(json!([])));
    let emptied = applied(&listed, vec![Change::Replace { rows, deactivate_missing: false }]);
    let [before, after] = [&listed, &emptied].map(|table| {
        ["one", "other"].map(|object| {
            let resource = Resource { object, ..Resource::default() };
            decide(table, &Question { principal: "ana", permission: "element.use", resource, ..Question::default() }, 0)
        })
    });
    assert_eq!(before, [Ok(Reason::Allowed), Ok(Reason::ElementNotListed)]);
    assert_eq!(after, [Ok(Reason::Allowed), Ok(Reason::Allowed)]);
}
