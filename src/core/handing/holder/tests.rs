use super::whole;
use crate::core::model::Period;

#[test]
fn a_time_is_covered_only_without_a_gap() {
    let period = |starts_at, expires_at| Period { starts_at, expires_at };
    let always = Period::default();
    for (held, wanted, is_covered) in [
        (vec![], always, false),
        (vec![always], always, true),
        (vec![period(None, Some(100))], always, false),
        (vec![period(None, Some(100))], period(None, Some(100)), true),
        (vec![period(Some(20), None)], always, false),
        (vec![period(Some(20), None)], period(Some(20), Some(30)), true),
        (vec![period(Some(50), None), period(None, Some(50))], always, true),
        (vec![period(Some(51), None), period(None, Some(50))], always, false),
        (vec![], period(None, Some(5)), true),
    ] {
        assert_eq!(whole(held.clone(), wanted, 10), is_covered, "{held:?} for {wanted:?}");
    }
}
