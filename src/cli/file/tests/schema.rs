use super::*;

#[test]
fn the_published_schemas_are_what_the_program_says() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/schema/");
    for (name, schema) in
        [("organization.schema.json", schema_organization()), ("decision-test.schema.json", schema_cases())]
    {
        let path = format!("{root}{name}");
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::write(&path, &schema).unwrap();
        }
        let published = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(published, schema, "run with UPDATE_SCHEMAS=1 to publish {name}");
    }
}
