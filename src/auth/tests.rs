use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use http::HeaderValue;

use super::first::FirstTokenError;
use super::*;
use crate::clock::{Clock, SystemClock};
use crate::engine::TokenRow;
use crate::store::MemoryStore;

fn engine() -> Arc<Engine> {
    let engine = Engine::open(Arc::new(MemoryStore::new()), Arc::new(SystemClock), |e| panic!("{e}"));
    Arc::new(engine.unwrap())
}

fn headers(values: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn token_file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn tokens_are_a_prefix_and_43_characters_and_never_twice_the_same() {
    let (one, two) = (Token::random(&SystemClock).unwrap(), Token::random(&SystemClock).unwrap());
    assert!(one.text().starts_with("dw_") && one.text().len() == 46, "{}", one.text());
    assert_ne!(one.hash(), two.hash());
    assert_eq!(Token::parse(one.text()).unwrap().hash(), one.hash());
    assert_eq!(format!("{one:?}"), "Token(..)");
}

#[tokio::test]
async fn only_the_right_header_comes_in() {
    let engine = engine();
    let token = Token::random(&SystemClock).unwrap();
    let row = TokenRow { hash: token.hash(), name: "ci".to_owned(), created_at: SystemClock.now() };
    engine.add_token(row).await.unwrap();
    let gate = Gate::for_tokens(engine, &[]).unwrap();
    let text = token.text();

    let admitted = Ok(Caller::operator("ci".into()));
    assert_eq!(gate.admit(&headers(&[&format!("Bearer {text}")])), admitted);
    assert_eq!(gate.admit(&headers(&[&format!("bEARER {text}")])), admitted, "a scheme's case does not matter");

    let another = format!("Bearer {}", Token::random(&SystemClock).unwrap().text());
    let right = format!("Bearer {text}");
    let long = format!("Bearer {text}{}", "A".repeat(60_000));
    for (values, refusal) in [
        (vec![], Refusal::Missing),
        (vec![""], Refusal::Malformed),
        (vec!["Bearer"], Refusal::Malformed),
        (vec!["Bearer "], Refusal::Malformed),
        (vec![text], Refusal::Malformed),
        (vec!["Basic dXNlcjpwYXNz"], Refusal::Malformed),
        (vec![&right[..right.len() - 1]], Refusal::Malformed),
        (vec![&long], Refusal::Malformed),
        (vec!["Bearer dw_é"], Refusal::Malformed),
        (vec![&right, &right], Refusal::Malformed),
        (vec![&right, &another], Refusal::Malformed),
        (vec![&another], Refusal::Unknown),
    ] {
        assert_eq!(gate.admit(&headers(&values)), Err(refusal), "{values:?}");
    }
}

#[test]
fn a_server_without_tokens_lets_nobody_in() {
    let gate = Gate::for_tokens(engine(), &[]).unwrap();
    let guess = format!("Bearer dw_{}", "A".repeat(43));
    assert_eq!(gate.admit(&headers(&[&guess])), Err(Refusal::Unknown));
}

#[test]
fn in_development_everyone_is_dev() {
    let gate = Gate::open_to_all(engine());
    assert_eq!(gate.admit(&HeaderMap::new()), Ok(Caller::operator(DEV.into())));
}

#[test]
fn only_health_and_reflection_answer_strangers() {
    for path in ["/grpc.health.v1.Health/Check", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"] {
        assert!(Gate::is_open(path), "{path}");
    }
    for path in [
        "/",
        "/grpc.health.v1.Health",
        "/grpc.health.v1.HealthX/Check",
        "//grpc.health.v1.Health/Check",
        "/doorward.v1.DecisionService/Authorize",
        "/doorward.v1.DecisionService/grpc.health.v1.Health/Check",
    ] {
        assert!(!Gate::is_open(path), "{path}");
    }
}

#[test]
fn a_token_file_names_its_caller() {
    let folder = tempfile::tempdir().unwrap();
    let token = Token::random(&SystemClock).unwrap();
    let file = token_file(folder.path(), "billing.token", &format!("{}\n", token.text()));
    let gate = Gate::for_tokens(engine(), std::slice::from_ref(&file)).unwrap();
    let caller = gate.admit(&headers(&[&format!("Bearer {}", token.text())]));
    assert_eq!(caller, Ok(Caller::operator("billing".into())));

    let twin = token_file(folder.path(), "billing.old", token.text());
    let same = Gate::for_tokens(engine(), &[file, twin]);
    assert!(matches!(same, Err(ProvidedError::SameName(name)) if name == "billing"));
}

#[test]
fn a_token_file_without_a_token_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let short = token_file(folder.path(), "short", "dw_abc");
    let long = token_file(folder.path(), "long", &"dw_".repeat(5_000));
    let empty = token_file(folder.path(), "empty", "");
    for path in [short, long, empty, folder.path().join("missing"), folder.path().to_owned()] {
        assert!(Gate::for_tokens(engine(), std::slice::from_ref(&path)).is_err(), "{}", path.display());
    }
}

#[tokio::test]
async fn the_first_token_is_in_a_file_for_this_user_alone_and_comes_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.token");
    let engine = engine();
    first_token(&engine, &path).await.unwrap();

    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    let text = fs::read_to_string(&path).unwrap();
    let gate = Gate::for_tokens(engine, &[]).unwrap();
    assert_eq!(gate.admit(&headers(&[&format!("Bearer {}", text.trim_end())])), Ok(Caller::operator(ADMIN.into())));
}

#[tokio::test]
async fn a_first_token_that_cannot_be_written_is_not_stored() {
    let folder = tempfile::tempdir().unwrap();
    let taken = token_file(folder.path(), "taken", "precious");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path().join("elsewhere"), &link).unwrap();
    let engine = engine();
    for path in [&taken, &link] {
        assert!(matches!(first_token(&engine, path).await, Err(FirstTokenError::Exists { .. })));
    }
    let nowhere = folder.path().join("no/folder");
    assert!(matches!(first_token(&engine, &nowhere).await, Err(FirstTokenError::Write { .. })));
    assert!(!engine.has_tokens());
    assert_eq!(fs::read_to_string(taken).unwrap(), "precious");
}

#[tokio::test]
async fn a_first_token_that_cannot_be_stored_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.token");
    let engine = engine();
    engine.stop();
    assert!(matches!(first_token(&engine, &path).await, Err(FirstTokenError::Store(_))));
    assert!(!path.exists());
}

#[test]
fn a_refusal_says_why_with_error_info() {
    let status = Status::from(Refusal::Missing);
    assert_eq!(status.code(), Code::Unauthenticated);
    let info = status.get_details_error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("UNAUTHENTICATED", "doorward.dev"));
}
