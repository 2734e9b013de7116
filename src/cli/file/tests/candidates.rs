use std::io::{self, Cursor, Read};

use super::*;

fn all(text: &str) -> Result<Vec<CaseRecord>, FileErrors> {
    Candidates::of(text.as_bytes(), "records.yaml").collect()
}

#[track_caller]
fn errors(text: impl AsRef<[u8]>) -> Vec<String> {
    let read = Candidates::of(Cursor::new(text.as_ref()), "records.yaml").collect::<Result<Vec<_>, _>>();
    read.unwrap_err().to_string().lines().map(str::to_owned).collect()
}

#[test]
fn a_list_and_a_lone_record_are_read_in_yaml_and_json() {
    let id = |records: Vec<CaseRecord>| records.into_iter().map(|r| r.id).collect::<Vec<_>>();
    for text in ["- {id: ö-1, owner: bo}\n- id: '2'\n", r#"[{"id": "ö-1", "owner": "bo"}, {"id": "2"}]"#] {
        let read = all(text).unwrap();
        assert_eq!(read[0].owner.as_deref(), Some("bo"));
        assert_eq!(id(read), ["ö-1", "2"], "{text}");
    }
    assert_eq!(id(all("{id: r, attributes: {region: eu}}").unwrap()), ["r"]);
    assert_eq!(all("[]"), Ok(vec![]));
}

#[test]
fn what_is_wrong_is_told_with_all_that_is_wrong_behind_it() {
    let told = errors("- {id: r-1}\n- {id: r-2, colour: red}\n- {id: r-3}\n- r-4\n- {owner: {}}\n");
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].starts_with("records.yaml:2:13: [1].colour: unknown key"), "{told:?}");
    assert!(told[1].starts_with("records.yaml:4:3: [3]: "), "{told:?}");
    assert!(told[2].starts_with("records.yaml:5:11: [4].owner: "), "{told:?}");
    let mut read = Candidates::of(&b"- {id: r-1}\n- r-2\n- {id: r-3}\n"[..], "records.yaml");
    assert!(read.next().unwrap().is_ok() && read.next().unwrap().is_err() && read.next().is_none());
    assert_eq!(errors(""), ["records.yaml:1:1: the file is empty"]);
    assert_eq!(errors("[]\n---\n[]\n"), ["records.yaml:2:1: only one document is allowed"]);
    assert_eq!(errors("[{id: &a r-1}]").len(), 1);
    // Nothing else is certain behind what cannot be read.
    let told = errors("[{colour: red}, {id: ]");
    assert!(told.len() == 1 && !told[0].contains("colour"), "{told:?}");
    for broken in [&b"- {id: \xff}"[..], b"- {id: \xc3", b"- {id: \xed\xa0\x80}", b"- {id: \x80}"] {
        let told = errors(broken);
        assert!(told.len() == 1 && told[0].contains("this is not UTF-8"), "{told:?}");
    }
}

/// A list of records without an end, and how many bytes of it were read.
#[derive(Default)]
struct Endless {
    rest: Cursor<Vec<u8>>,
    items: usize,
    bytes: usize,
}

impl Read for &mut Endless {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.rest.position() == self.rest.get_ref().len() as u64 {
            let begin = if self.items == 0 { '[' } else { ',' };
            self.rest = Cursor::new(format!("{begin}{{\"id\": \"r-{}\"}}", self.items).into_bytes());
            self.items += 1;
        }
        let read = self.rest.read(into)?;
        self.bytes += read;
        Ok(read)
    }
}

#[test]
fn no_more_is_read_of_a_file_than_is_asked_for() {
    let mut file = Endless::default();
    let taken: Vec<_> = Candidates::of(&mut file, "records.json").take(5_000).map(|r| r.unwrap().id).collect();
    assert_eq!((taken.len(), taken[4_999].as_str()), (5_000, "r-4999"));
    let told: usize = (0..5_000).map(|n| format!(",{{\"id\": \"r-{n}\"}}").len()).sum();
    // What is read ahead: the buffer, and as much as a key may be long.
    assert!((told..told + 16_384).contains(&file.bytes), "{} bytes were read for {told}", file.bytes);
}
