//! The house keeps its shape (`src/ARCHITECTURE.md`): imports go one way, and some names stay in their rooms.
//!
//! Read from the text of `src`, without its comments and its tests. What a macro makes is not seen.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms by floor. A room imports from the floors below its own; rooms of one floor do not know each other.
const FLOORS: [&[&str]; 8] = [
    &["core"],
    &["store"],
    &["snapshot", "watch"],
    &["engine"],
    &["service"],
    &["auth", "telemetry"],
    &["server"],
    &["cli"],
];
/// Rooms that everyone but `core` may import.
const FREE: [&str; 2] = ["clock", "config"];
/// Rooms that speak gRPC.
const WIRE: [&str; 5] = ["service", "server", "auth", "telemetry", "cli"];

struct Source {
    /// Below `src`.
    path: PathBuf,
    room: String,
    /// Without comments, literals and tests.
    code: String,
}

#[test]
fn imports_go_one_way() {
    let mut wrong = Vec::new();
    for source in sources() {
        for imported in rooms_named(&source.code) {
            if !may_import(&source.room, &imported) {
                wrong.push(format!("{}: `{}` imports `{imported}`", source.path.display(), source.room));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that turn round:\n{}", wrong.join("\n"));
}

#[test]
fn the_database_is_named_in_one_file() {
    let wrong: Vec<_> = sources()
        .into_iter()
        .filter(|source| source.path != Path::new("store/sled.rs"))
        // `sled` is also the name of that file's module.
        .filter(|source| names_crate(&source.code, "sled", source.path == Path::new("store/mod.rs")))
        .map(|source| source.path)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn protobuf_and_grpc_stay_at_the_edge() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !WIRE.contains(&source.room.as_str())) {
        for name in ["tonic", "tonic_types", "tonic_health", "tonic_prost", "prost", "prost_types"] {
            if names_crate(&source.code, name, false) {
                wrong.push(format!("{}: {name}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn the_test_sees_what_it_looks_for() {
    let code = "use crate::{engine::Engine, core::{id, model}, store};\nlet x = crate::server::run; crate :: cli";
    let rooms: Vec<_> = rooms_named(code).into_iter().collect();
    assert_eq!(rooms, ["cli", "core", "engine", "server", "store"]);
    assert!(may_import("service", "engine") && may_import("service", "clock") && may_import("core", "core"));
    assert!(!may_import("engine", "service") && !may_import("auth", "telemetry") && !may_import("core", "clock"));
    assert!(names_crate("let x = ::sled::open()", "sled", true) && names_crate("use sled::Db;", "sled", false));
    assert!(!names_crate("use super::sled::Options; unsled::x", "sled", false));
    assert_eq!(without_comments_and_literals("a // b\n\"c \\\" d\" /* e\n */ 'f' 'static g"), "a \n\"\"  '' 'static g");
    assert_eq!(without_tests("a\n#[cfg(test)]\nmod b;\nc\n#[cfg(test)]\nmod tests {\nd"), "a\nc\n");
    assert!(sources().len() > 50, "the sources are found");
}

fn may_import(room: &str, imported: &str) -> bool {
    let floor = |room: &str| FLOORS.iter().position(|rooms| rooms.contains(&room));
    match (room, imported) {
        _ if room == imported => true,
        ("core", _) => false,
        ("clock" | "config", _) => imported == "core",
        _ if FREE.contains(&imported) => true,
        _ => floor(room).zip(floor(imported)).is_some_and(|(above, below)| below < above),
    }
}

/// The names right after `crate::`, in groups too.
fn rooms_named(code: &str) -> BTreeSet<String> {
    let code: String = code.split_whitespace().collect::<Vec<_>>().join(" ").replace(" :: ", "::");
    let mut rooms = BTreeSet::new();
    for (at, found) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + found.len()..];
        match rest.strip_prefix('{') {
            Some(group) => rooms.extend(members(group)),
            None => rooms.extend(Some(name(rest)).filter(|name| !name.is_empty())),
        }
    }
    // What begins with a capital letter is an item of lib.rs, of which there is none.
    rooms.retain(|room| room.starts_with(|c: char| c.is_lowercase()));
    rooms
}

/// The first names of a group's members, up to its closing brace.
fn members(group: &str) -> Vec<String> {
    let (mut depth, mut members, mut current) = (0, Vec::new(), String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => members.push(std::mem::take(&mut current)),
            _ if depth == 0 => current.push(c),
            _ => {}
        }
    }
    members.push(current);
    members.iter().map(|member| name(member.trim())).filter(|name| !name.is_empty()).collect()
}

fn name(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Whether a path begins with this crate. Where a module has the same name, only `::name` is the crate.
fn names_crate(code: &str, name: &str, is_module: bool) -> bool {
    code.match_indices(&format!("{name}::")).any(|(at, _)| {
        let before = &code[..at];
        let word = |c: char| c.is_alphanumeric() || c == '_';
        match before.strip_suffix("::") {
            Some(path) => !path.ends_with(word) && !path.ends_with('>'),
            None => !is_module && !before.ends_with(word),
        }
    })
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.extend(source(&root, &path));
            }
        }
    }
    found
}

/// None for `lib.rs` and `main.rs`, and for files that are tests.
fn source(root: &Path, path: &Path) -> Option<Source> {
    let below = path.strip_prefix(root).unwrap().to_owned();
    let parts: Vec<String> =
        below.iter().map(|part| part.to_string_lossy().trim_end_matches(".rs").to_owned()).collect();
    let is_test = parts.iter().any(|part| part == "tests" || part.ends_with("_tests"));
    let room = parts.first()?.clone();
    if is_test || room == "lib" || room == "main" {
        return None;
    }
    let code = without_tests(&without_comments_and_literals(&fs::read_to_string(path).unwrap()));
    Some(Source { path: below, room, code })
}

/// Test modules are at the end of a file, or files of their own.
fn without_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push_str(line);
            kept.push('\n');
            continue;
        }
        let next = lines.next().unwrap_or_default();
        if next.trim_start().trim_start_matches("pub ").starts_with("mod ") && next.trim_end().ends_with('{') {
            break;
        }
    }
    kept
}

fn without_comments_and_literals(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if rest.starts_with("/*") {
            rest = rest.find("*/").map_or("", |end| &rest[end + 2..]);
        } else if let Some(raw) = rest.strip_prefix("r#\"") {
            rest = raw.find("\"#").map_or("", |end| &raw[end + 2..]);
        } else if c == '"' {
            kept.push_str("\"\"");
            rest = after_string(&rest[1..]);
        } else if let Some(length) = char_literal(rest) {
            kept.push_str("''");
            rest = &rest[length..];
        } else {
            kept.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    kept
}

fn after_string(text: &str) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return &text[at + 1..],
            _ => {}
        }
    }
    ""
}

/// The length of a character literal; a lifetime is none.
fn char_literal(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('\'')?;
    let length = match inner.strip_prefix('\\') {
        Some(escape) => 1 + escape.char_indices().skip(1).find(|(_, c)| *c == '\'')?.0,
        None => inner.chars().next()?.len_utf8(),
    };
    inner[length..].starts_with('\'').then_some(length + 2)
}
