//! Random conditions, well typed for one object of one file, and the small pools that values and literals share.

use super::oracle::conditions::{Attribute, Comparison, Condition, Path, Term, TextTest};
use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    String,
    Int,
    Double,
    Bool,
    Timestamp,
    Strings,
    Ints,
}

pub(super) const KINDS: [Kind; 7] =
    [Kind::String, Kind::Int, Kind::Double, Kind::Bool, Kind::Timestamp, Kind::Strings, Kind::Ints];

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::Int => "int",
            Kind::Double => "double",
            Kind::Bool => "bool",
            Kind::Timestamp => "timestamp",
            Kind::Strings => "list<string>",
            Kind::Ints => "list<int>",
        }
    }

    pub(super) fn named(name: &str) -> Kind {
        KINDS.into_iter().find(|kind| kind.name() == name).unwrap()
    }

    /// Of the items of a list.
    fn item(self) -> Option<Kind> {
        match self {
            Kind::Strings => Some(Kind::String),
            Kind::Ints => Some(Kind::Int),
            _ => None,
        }
    }
}

/// What is usually sent or stored undeclared under these names. Only `labels` and `skills` are ever lists.
pub(super) const CONTEXT_ATTRIBUTES: [(&str, Kind); 6] = [
    ("team", Kind::String),
    ("limit", Kind::Int),
    ("ratio", Kind::Double),
    ("trusted", Kind::Bool),
    ("at", Kind::Timestamp),
    ("labels", Kind::Strings),
];
pub(super) const USER_ATTRIBUTES: [(&str, Kind); 7] = [
    ("team", Kind::String),
    ("region", Kind::String),
    ("clearance", Kind::Int),
    ("limit", Kind::Double),
    ("vip", Kind::Bool),
    ("skills", Kind::Ints),
    ("since", Kind::Timestamp), // only ever declared: a file has no undeclared instants
];

const STRINGS: [&str; 10] = ["eu", "us", "eu-west", "EU", "", "risk", "\u{e9}u", "it's", "a\\b", "\"q\""];
const INTS: [i64; 7] = [-3, 0, 1, 2, 3, 10, 1_000_000_007];
const DOUBLES: [f64; 6] = [-1.5, 0.0, 1.0, 2.0, 2.5, 1e9];

/// A value of this kind.
pub(super) fn value(rng: &mut Rng, kind: Kind) -> Attribute {
    match kind {
        Kind::String => {
            let few = if rng.u8(..10) < 7 { 3 } else { STRINGS.len() };
            Attribute::String(STRINGS[rng.usize(..few)].to_owned())
        }
        Kind::Int => Attribute::Int(rng.choice(INTS).unwrap()),
        Kind::Double => Attribute::Double(rng.choice(DOUBLES).unwrap()),
        Kind::Bool => Attribute::Bool(rng.bool()),
        Kind::Timestamp => {
            let around = rng.choice([NOW_MS, NOW_MS, NOW_MS - 3_600_000, NOW_MS + 3_600_000]).unwrap();
            Attribute::Timestamp(around + rng.i64(-1..=1))
        }
        Kind::Strings | Kind::Ints => {
            Attribute::List((0..rng.usize(..4)).map(|_| value(rng, kind.item().unwrap())).collect())
        }
    }
}

/// What the conditions of one object may read.
pub(super) struct Readable<'f> {
    file: &'f Value,
    fields: Vec<(Path, Kind)>,
    built_in: Vec<(Path, Kind)>,
    undeclared: Vec<(Path, Kind)>,
    users: Vec<String>,
    groups: Vec<String>,
}

impl<'f> Readable<'f> {
    pub(super) fn of(file: &'f Value, object: &Value) -> Readable<'f> {
        let declared = |row: &Value, key: &str| -> Vec<(String, Kind)> {
            let rows = row[key].as_object().into_iter().flatten();
            rows.map(|(name, kind)| (name.clone(), Kind::named(kind.as_str().unwrap()))).collect()
        };
        let record = [("id", Kind::String), ("owner", Kind::String), ("account", Kind::String)];
        let user = ["id", "kind", "account", "manager", "email"].map(|name| (name, Kind::String));
        let user_attributes = declared(file, "user_attributes");
        let undeclared = USER_ATTRIBUTES.iter().filter(|(name, kind)| {
            *kind != Kind::Timestamp && user_attributes.iter().all(|(declared, _)| declared != name)
        });
        let undeclared: Vec<(Path, Kind)> = undeclared
            .map(|(name, kind)| (Path::UserAttribute((*name).to_owned()), *kind))
            .chain(CONTEXT_ATTRIBUTES.map(|(name, kind)| (Path::ContextAttribute(name.to_owned()), kind)))
            .collect();
        let fields = declared(object, "fields").into_iter().map(|(name, kind)| (Path::Record(name), kind)).collect();
        let built_in = record
            .map(|(name, kind)| (Path::Record(name.to_owned()), kind))
            .into_iter()
            .chain(user.map(|(name, kind)| (Path::User(name.to_owned()), kind)))
            .chain([(Path::Channel, Kind::String)])
            .chain(user_attributes.into_iter().map(|(name, kind)| (Path::UserAttribute(name), kind)))
            .collect();
        let groups = ids(file, "groups").into_iter().chain(SYSTEM_GROUPS.map(str::to_owned)).collect();
        Readable { file, fields, built_in, undeclared, users: ids(file, "users"), groups }
    }

    /// Any declared value, mostly a field, for which this is true of its kind.
    fn declared(&self, rng: &mut Rng, fits: impl Fn(Kind) -> bool) -> Option<(Path, Kind)> {
        let from = if rng.u8(..10) < 7 { &self.fields } else { &self.built_in };
        let fitting: Vec<_> = from.iter().chain(&self.fields).filter(|(_, kind)| fits(*kind)).collect();
        rng.choice(fitting).cloned()
    }

    fn undeclared(&self, rng: &mut Rng, fits: impl Fn(Kind) -> bool) -> (Path, Kind) {
        rng.choice(self.undeclared.iter().filter(|(_, kind)| fits(*kind)).collect::<Vec<_>>()).unwrap().clone()
    }

    /// What this might be compared with: for ids some id that there is, for anything else a value of its kind.
    fn literal(&self, rng: &mut Rng, path: &Path, kind: Kind) -> Attribute {
        let text = match path {
            Path::Record(name) | Path::User(name) => match name.as_str() {
                "id" if matches!(path, Path::Record(_)) => Some(record_id(rng)),
                "id" | "owner" | "manager" | "watchers" | "assignees" | "mentioned" | "shared_with"
                | "direct_reports" | "all_reports" => Some(self.someone(rng)),
                "account" => rng.choice(account_ids(self.file)),
                "kind" => rng.choice(["internal", "external", "service"]).map(str::to_owned),
                "email" => Some(format!("{}@", rng.u8(..10))),
                "groups" => rng.choice(&self.groups).cloned(),
                _ => None,
            },
            Path::Channel => rng.choice(["email", "platform", "Email"]).map(str::to_owned),
            _ => None,
        };
        text.map_or_else(|| value(rng, kind), Attribute::String)
    }

    fn someone(&self, rng: &mut Rng) -> String {
        let service = rng.choice(ids(self.file, "service_accounts")).filter(|_| rng.u8(..10) == 0);
        let user = rng.choice(&self.users).cloned();
        service.map(|id| format!("service:{id}")).or(user).unwrap_or("ana".to_owned())
    }
}

/// A condition with `&&`, `||` and `!` nested no deeper than this.
pub(super) fn condition(rng: &mut Rng, of: &Readable, depth: u8) -> Condition {
    let condition = match rng.u8(..20) {
        0..7 if depth > 0 => Condition::And(boxed(rng, of, depth), boxed(rng, of, depth)),
        7..14 if depth > 0 => Condition::Or(boxed(rng, of, depth), boxed(rng, of, depth)),
        14..17 if depth > 0 => Condition::Not(boxed(rng, of, depth)),
        _ => leaf(rng, of, depth),
    };
    if rng.u8(..20) == 0 { Condition::Brackets(Box::new(condition)) } else { condition }
}

fn boxed(rng: &mut Rng, of: &Readable, depth: u8) -> Box<Condition> {
    Box::new(condition(rng, of, depth - 1))
}

fn leaf(rng: &mut Rng, of: &Readable, depth: u8) -> Condition {
    loop {
        let leaf = match rng.u8(..44) {
            0..9 => compared_with_literal(rng, of),
            9..12 => compared_with_each_other(rng, of),
            12..16 => Some(compared_undeclared(rng, of)),
            16..19 => in_literal(rng, of),
            19..22 => in_list(rng, of),
            22..26 | 40..44 => Some(about_people(rng, of)),
            26..28 => Some(has(rng, of)),
            28..31 => text_test(rng, of),
            31..33 => size(rng, of),
            33..37 => some_or_all(rng, of),
            37 => of.declared(rng, |kind| kind == Kind::Bool).map(|(path, _)| Condition::Is(Term::Read(path))),
            38 if depth >= 2 => guarded(rng, of),
            _ => Some(Condition::Always(rng.bool())).filter(|_| rng.u8(..3) == 0),
        };
        if let Some(leaf) = leaf {
            return leaf;
        }
    }
}

/// Truth values have no order.
fn comparison(rng: &mut Rng, ordered: bool) -> Comparison {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    if ordered && rng.u8(..10) < 6 {
        rng.choice([Less, LessOrEqual, Greater, GreaterOrEqual]).unwrap()
    } else {
        rng.choice([Equal, Equal, NotEqual]).unwrap()
    }
}

fn either_way(rng: &mut Rng, left: Term, ordered: bool, right: Term) -> Condition {
    let comparison = comparison(rng, ordered);
    if rng.u8(..4) == 0 {
        Condition::Compare(right, comparison, left)
    } else {
        Condition::Compare(left, comparison, right)
    }
}

fn scalar(kind: Kind) -> bool {
    kind.item().is_none()
}

fn compared_with_literal(rng: &mut Rng, of: &Readable) -> Option<Condition> {
    let (path, kind) = of.declared(rng, scalar)?;
    if path == Path::User("email".into()) {
        return text_test(rng, of); // as it was given or in lower case?
    }
    let other = literal_or_now(rng, of, &path, kind);
    Some(either_way(rng, Term::Read(path), kind != Kind::Bool, other))
}

fn literal_or_now(rng: &mut Rng, of: &Readable, path: &Path, kind: Kind) -> Term {
    if kind == Kind::Timestamp && rng.bool() {
        return Term::Now(rng.choice([0, 0, -3_600_000, 3_600_000, -90_000, 1_000, -3_600_001]).unwrap());
    }
    Term::Literal(of.literal(rng, path, kind))
}

fn compared_with_each_other(rng: &mut Rng, of: &Readable) -> Option<Condition> {
    let (record, user) = (|name: &str| Path::Record(name.into()), |name: &str| Path::User(name.into()));
    let (left, right, kind) = match rng.u8(..8) {
        0..3 => (record("owner"), user("id"), Kind::String),
        3 => (record("owner"), user("manager"), Kind::String),
        4 => (record("account"), user("account"), Kind::String),
        _ => {
            let (left, kind) = of.declared(rng, scalar)?;
            let right = of.declared(rng, |other| other == kind)?.0;
            (left, right, kind)
        }
    };
    let email = user("email");
    (left != right && left != email && right != email)
        .then(|| either_way(rng, Term::Read(left), kind != Kind::Bool, Term::Read(right)))
}

/// Two of them only for being equal; against something declared or a literal in any way.
fn compared_undeclared(rng: &mut Rng, of: &Readable) -> Condition {
    let (left, kind) = of.undeclared(rng, |_| true);
    if rng.u8(..4) == 0 && scalar(kind) {
        let (right, _) = of.undeclared(rng, scalar);
        return either_way(rng, Term::Read(left), false, Term::Read(right));
    }
    let kind = if rng.u8(..10) < 8 && scalar(kind) { kind } else { Kind::String };
    let like = |other: Kind| match kind {
        Kind::Int | Kind::Double => matches!(other, Kind::Int | Kind::Double),
        _ => other == kind,
    };
    let declared = of.declared(rng, like).filter(|(path, _)| rng.bool() && *path != Path::User("email".into()));
    let right = match declared {
        Some((path, _)) => Term::Read(path),
        None => {
            let kind = rng.choice(KINDS.iter().copied().filter(|one| like(*one)).collect::<Vec<_>>()).unwrap();
            literal_or_now(rng, of, &left, kind)
        }
    };
    either_way(rng, Term::Read(left), kind != Kind::Bool, right)
}

fn in_literal(rng: &mut Rng, of: &Readable) -> Option<Condition> {
    let (path, kind) = match rng.u8(..4) {
        0 => of.undeclared(rng, scalar),
        _ => of.declared(rng, scalar)?,
    };
    if path == Path::User("email".into()) {
        return None;
    }
    let items = (0..rng.usize(1..4)).map(|_| of.literal(rng, &path, kind)).collect();
    Some(Condition::In(Term::Read(path), Term::Literal(Attribute::List(items))))
}

/// A literal or something declared in a list that is declared; a literal in one that is not.
fn in_list(rng: &mut Rng, of: &Readable) -> Option<Condition> {
    if rng.u8(..4) == 0 {
        let (path, kind) = of.undeclared(rng, |kind| !scalar(kind));
        let needle = value(rng, kind.item().unwrap());
        return Some(Condition::In(Term::Literal(needle), Term::Read(path)));
    }
    let (path, kind) = of.declared(rng, |kind| !scalar(kind))?;
    let item = kind.item().unwrap();
    let needle =
        of.declared(rng, |kind| kind == item).filter(|(path, _)| rng.bool() && *path != Path::User("email".into()));
    let needle = needle.map_or_else(|| Term::Literal(value(rng, item)), |(path, _)| Term::Read(path));
    Some(Condition::In(needle, Term::Read(path)))
}

fn people_list(rng: &mut Rng) -> Path {
    Path::Record(rng.choice(["watchers", "assignees", "mentioned", "shared_with"]).unwrap().into())
}

fn reports(rng: &mut Rng) -> Path {
    Path::User(rng.choice(["direct_reports", "all_reports"]).unwrap().into())
}

fn about_people(rng: &mut Rng, of: &Readable) -> Condition {
    let groups = Path::User("groups".into());
    let user = |name: &str| Path::User(name.into());
    match rng.u8(..14) {
        9..11 => {
            let kind = of.literal(rng, &user("kind"), Kind::String);
            Condition::Compare(Term::Read(user("kind")), comparison(rng, false), Term::Literal(kind))
        }
        11 => Condition::Has(rng.choice([user("email"), user("manager"), Path::Channel]).unwrap()),
        0..2 | 12..14 => Condition::In(Term::Read(Path::Record("owner".into())), Term::Read(reports(rng))),
        2..4 => {
            let group = of.literal(rng, &groups, Kind::String);
            Condition::In(Term::Literal(group), Term::Read(groups))
        }
        4..7 => Condition::In(Term::Read(Path::User("id".into())), Term::Read(people_list(rng))),
        _ => {
            let list = people_list(rng);
            Condition::In(Term::Literal(of.literal(rng, &list, Kind::String)), Term::Read(list))
        }
    }
}

/// Of what may be missing.
fn has(rng: &mut Rng, of: &Readable) -> Condition {
    let always = ["id", "kind", "account"].map(|name| Path::User(name.into()));
    let declared = of.declared(rng, |_| true).map(|(path, _)| path);
    let may_be_missing = |path: &Path| !always.contains(path) && *path != Path::Record("id".into());
    let path = declared.filter(|path| may_be_missing(path) && rng.u8(..5) > 1);
    Condition::Has(path.unwrap_or_else(|| of.undeclared(rng, |_| true).0))
}

fn text_test(rng: &mut Rng, of: &Readable) -> Option<Condition> {
    let test = rng.choice([TextTest::StartsWith, TextTest::EndsWith, TextTest::Contains]).unwrap();
    let (path, _) = match rng.u8(..5) {
        0 => of.undeclared(rng, |kind| kind == Kind::String),
        _ => of.declared(rng, |kind| kind == Kind::String)?,
    };
    let Attribute::String(text) = of.literal(rng, &path, Kind::String) else { unreachable!("texts") };
    if path == Path::User("email".into()) {
        return Some(Condition::Text(Term::Read(path), TextTest::Contains, Term::Literal(Attribute::String(text))));
    }
    let (beginning, end): (String, String) = (text.chars().take(1).collect(), text.chars().skip(1).collect());
    let part = match test {
        _ if rng.u8(..3) == 0 => text,
        TextTest::StartsWith => beginning,
        _ => end,
    };
    let (path, part) = (Term::Read(path), Term::Literal(Attribute::String(part)));
    Some(if rng.u8(..10) == 0 { Condition::Text(part, test, path) } else { Condition::Text(path, test, part) })
}

/// Of a relation list only whether it is empty.
fn size(rng: &mut Rng, of: &Readable) -> Option<Condition> {
    let number = |number: i64| Term::Literal(Attribute::Int(number));
    if rng.u8(..4) == 0 {
        let comparison = rng.choice([Comparison::Equal, Comparison::Greater, Comparison::NotEqual]).unwrap();
        return Some(Condition::Compare(Term::Size(people_list(rng)), comparison, number(0)));
    }
    let path = match rng.u8(..4) {
        0 => Path::User("groups".into()),
        _ => of.declared(rng, |kind| !scalar(kind))?.0,
    };
    let most = rng.i64(..4);
    Some(either_way(rng, Term::Size(path), true, number(most)))
}

fn some_or_all(rng: &mut Rng, of: &Readable) -> Option<Condition> {
    let (path, item) = match rng.u8(..4) {
        0 => (people_list(rng), Kind::String),
        1 => (Path::User("groups".into()), Kind::String),
        _ => of.declared(rng, |kind| !scalar(kind)).map(|(path, kind)| (path, kind.item().unwrap()))?,
    };
    let predicate = |rng: &mut Rng| {
        let other = of
            .declared(rng, |kind| kind == item)
            .filter(|(path, _)| rng.u8(..3) == 0 && *path != Path::User("email".into()));
        let other = other.map_or_else(|| Term::Literal(of.literal(rng, &path, item)), |(path, _)| Term::Read(path));
        if item == Kind::String && rng.u8(..3) == 0 {
            return Condition::Text(Term::Item, TextTest::StartsWith, other);
        }
        either_way(rng, Term::Item, true, other)
    };
    let one = Box::new(predicate(rng));
    let whole = match rng.u8(..8) {
        0 => Box::new(Condition::Or(one, Box::new(predicate(rng)))),
        1 => Box::new(Condition::And(one, Box::new(predicate(rng)))),
        2 => Box::new(Condition::Not(one)),
        _ => one,
    };
    let list = Term::Read(path.clone());
    Some(if rng.bool() { Condition::Exists(list, whole) } else { Condition::All(list, whole) })
}

/// As one writes it who knows that a value may be missing.
fn guarded(rng: &mut Rng, of: &Readable) -> Option<Condition> {
    let (path, kind) = of.declared(rng, scalar).filter(|(path, _)| *path != Path::User("email".into()))?;
    let has = Condition::Has(path.clone());
    let (positive, other) = (rng.bool(), literal_or_now(rng, of, &path, kind));
    let compared = Box::new(either_way(rng, Term::Read(path), kind != Kind::Bool, other));
    Some(if positive {
        Condition::And(Box::new(has), compared)
    } else {
        Condition::Or(Box::new(Condition::Not(Box::new(has))), compared)
    })
}
