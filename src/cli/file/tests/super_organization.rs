use super::super::SuperOrganizationFile;

fn parse(text: &str) -> Result<SuperOrganizationFile, String> {
    SuperOrganizationFile::parse(text, "globex.yaml").map_err(|errors| errors.to_string())
}

#[test]
fn a_super_organization_file_is_told_from_that_of_an_organization() {
    assert!(SuperOrganizationFile::is("super_organization: globex\n"));
    assert!(SuperOrganizationFile::is("element_denylist: [x]\nsuper_organization: globex\n"));
    assert!(!SuperOrganizationFile::is("super_organization: globex\norganization: acme\n"));
    for other in ["", "[]", "users: []", "organization: acme\nsuper_organization: globex\n{", "x: ["] {
        assert!(!SuperOrganizationFile::is(other), "{other}");
    }
}

#[test]
fn what_is_written_reads_back() {
    for (id, name, elements) in
        [("globex", "", &[][..]), ("yes", "Globex: \"the\" \u{fc}ber", &["1e3", "a/b", "null", "salesforce"][..])]
    {
        let file = SuperOrganizationFile {
            super_organization: id.parse().unwrap(),
            display_name: name.to_owned(),
            element_denylist: elements.iter().map(|id| id.parse().unwrap()).collect(),
        };
        assert_eq!(parse(&file.write()), Ok(file));
    }
}

#[test]
fn every_problem_is_named_with_its_place() {
    let wrong = "super_organization: g l\nelement_denylist: [b, a, b, '']\nobjects: []\n";
    let errors = parse(wrong).unwrap_err();
    let places: Vec<&str> = errors.lines().map(|line| line.split(": `").next().unwrap()).collect();
    assert_eq!(
        places,
        [
            "globex.yaml:1:21: super_organization",
            "globex.yaml:2:26: element_denylist[2]",
            "globex.yaml:2:29: element_denylist[3]",
            "globex.yaml:3:1: objects: unknown key",
        ],
        "{errors}"
    );
    assert_eq!(parse("display_name: x").unwrap_err(), "globex.yaml:1:1: `super_organization` is missing");
}
