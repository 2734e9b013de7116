//! From an organization file to rows.
//!
//! Users, groups, assignments and grants may be millions: they become rows one entry at a time
//! ([`super::people`]), and there never is a tree of the whole file. For that, what they depend on
//! (accounts, e-mail domains, declared attributes, catalogue: [`super::head`]) must be known before
//! the first of them. It is in the order in which files are usually written, and always in those
//! that [`super::write()`] makes; a file in another order is gone through twice.
//!
//! Names may be used before they are given. Whatever is not known yet is noted and looked up at
//! the end.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::core::id::{Domain, Id};
use crate::core::model::{DEFAULT_ACCOUNT, FieldType, Group, GroupKind, Key, Preset, Role, Row, Visibility};

use super::error::{At, Broken, FileErrors, Path, Place, Problems};
use super::fields::Fields;
use super::head::FIRST;
use super::yaml::{Next, Node, Source, What};

/// The groups of rule 2.6 that the system keeps.
pub(super) const SYSTEM_GROUPS: [&str; 3] = ["all-users", "internal-users", "external-users"];

/// What an organization has without its file saying so: the catalogue and the roles of its preset.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Names and aliases of the built-in permissions.
    pub permissions: HashSet<String>,
    /// The managed and system roles by id, as they ship.
    pub roles: HashMap<String, Role>,
}

impl Known {
    /// What ships with `preset`.
    #[must_use]
    pub fn of(preset: Preset) -> Self {
        let names = preset.catalogue().flat_map(|p| std::iter::once(p.name).chain(p.aliases.iter().copied()));
        let roles = preset.roles().iter().filter_map(|role| Some((role.id.to_owned(), role.row().ok()?)));
        Self { permissions: names.map(str::to_owned).collect(), roles: roles.collect() }
    }
}

/// An organization file that was read without a problem.
#[derive(Debug, Clone)]
pub struct OrganizationFile {
    /// Whose file it is.
    pub organization: Id,
    /// What it consists of, in the order of their keys.
    pub rows: Vec<Row>,
    places: HashMap<Key, Entry, foldhash::fast::RandomState>,
    conditions: HashMap<Id, At>,
}

/// Where a row was given, and which of the rows read it is.
#[derive(Debug, Clone, Copy)]
struct Entry {
    at: At,
    section: Section,
    item: u32,
    row: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Section {
    Organization,
    Accounts,
    Permissions,
    Objects,
    Roles,
    Users,
    ServiceAccounts,
    Groups,
    Assignments,
    Grants,
    Relations,
    DataAccess,
    ElementSafelist,
    Separation,
    Emergency,
}

impl Section {
    pub const fn key(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Accounts => "accounts",
            Self::Permissions => "permissions",
            Self::Objects => "objects",
            Self::Roles => "roles",
            Self::Users => "users",
            Self::ServiceAccounts => "service_accounts",
            Self::Groups => "groups",
            Self::Assignments => "assignments",
            Self::Grants => "grants",
            Self::Relations => "relations",
            Self::DataAccess => "data_access",
            Self::ElementSafelist => "element_safelist",
            Self::Separation => "separation_of_duties",
            Self::Emergency => "emergency",
        }
    }

    /// Those whose entries are read one at a time.
    pub const LONG: [Self; 6] =
        [Self::Users, Self::ServiceAccounts, Self::Groups, Self::Assignments, Self::Grants, Self::Relations];

    /// The long section that this key begins.
    fn of(key: &Node<'_>) -> Option<Self> {
        let What::Scalar(scalar) = &key.what else { return None };
        Self::LONG.into_iter().find(|section| section.key() == scalar.text)
    }
}

impl OrganizationFile {
    /// Reads `text`. `file_name` is for messages; `known` says what the file's preset brings along.
    ///
    /// What is absent: a user's or service account's `account` is the default account; a file
    /// without accounts has the one account `main`; a user's `kind` follows from the e-mail's
    /// domain (rule 2.1); a `status` is `active`; `invite_policy` is `admins_only`, the closed one;
    /// unknown users are not created; there is no re-authentication and no preset; texts are empty.
    ///
    /// # Errors
    /// Everything that is wrong with the file.
    pub fn parse(text: &str, file_name: &str, known: impl Fn(Preset) -> Known) -> Result<Self, FileErrors> {
        let mut reader = Reader::new(file_name);
        let organization = match reader.read(text, file_name, known) {
            Ok(organization) => organization,
            Err(broken) => {
                // What is behind it is not known: no other problem is certain.
                reader.out.clear();
                broken.report(&mut reader.out);
                None
            }
        };
        let Reader { out, mut rows, index, conditions, .. } = reader;
        rows.sort_by_cached_key(Row::key);
        out.into_result(organization.map(|organization| Self { organization, rows, places: index, conditions }))
    }

    /// Where the file gives the row of this key. Rows that it only implies, such as the default
    /// account of a file without accounts, have no place.
    #[must_use]
    pub fn place(&self, key: &Key) -> Option<Place> {
        let Entry { at, section, item, row: _ } = self.places.get(key)?;
        let path = match section {
            Section::Organization => section.key().to_owned(),
            _ => format!("{}[{item}]", section.key()),
        };
        Some(at.place(path))
    }

    /// Where the file gives a field of the row of this key: that of a condition is exact, since it
    /// may be far below the rest of its policy; any other is found at its row.
    #[must_use]
    pub fn place_of(&self, key: &Key, field: &str) -> Option<Place> {
        let mut place = self.place(key)?;
        if let (Key::Policy(id), "condition") = (key, field)
            && let Some(At { line, column }) = self.conditions.get(id)
        {
            (place.line, place.column) = (*line, *column);
        }
        if !field.is_empty() {
            place.path.push('.');
            place.path.push_str(field);
        }
        Some(place)
    }
}

/// A name used before it was given, or never given.
struct Later {
    key: Key,
    at: At,
    path: String,
    /// The group that the named one is to join, and the number of its entry.
    join: Option<(Id, usize)>,
}

/// How reading in one go ended.
enum Once {
    Read(Option<Id>),
    OutOfOrder,
}

/// Everything that is known while a file is read.
pub(super) struct Reader {
    pub out: Problems,
    rows: Vec<Row>,
    index: HashMap<Key, Entry, foldhash::fast::RandomState>,
    later: Vec<Later>,
    pub known: Known,
    pub default_account: Option<Id>,
    /// The organization's own e-mail domains whose users are internal.
    pub internal: HashSet<Domain>,
    /// The declared user attributes.
    pub declared: BTreeMap<String, FieldType>,
    /// Every name and alias of the catalogue.
    pub catalogue: HashSet<String>,
    /// By policy: where its condition stands.
    pub conditions: HashMap<Id, At>,
}

impl Reader {
    fn new(file_name: &str) -> Self {
        Self {
            out: Problems::new(file_name),
            rows: Vec::new(),
            index: HashMap::default(),
            later: Vec::new(),
            known: Known::default(),
            default_account: None,
            internal: HashSet::new(),
            declared: BTreeMap::new(),
            catalogue: HashSet::new(),
            conditions: HashMap::new(),
        }
    }

    fn read(&mut self, text: &str, file_name: &str, known: impl Fn(Preset) -> Known) -> Result<Option<Id>, Broken> {
        match self.once(text, &known)? {
            Once::Read(organization) => Ok(organization),
            Once::OutOfOrder => {
                *self = Self::new(file_name);
                self.twice(text, &known)
            }
        }
    }

    /// Reads the file in one go, unless it turns out that a long section stands before something
    /// that it depends on.
    fn once(&mut self, text: &str, known: &impl Fn(Preset) -> Known) -> Result<Once, Broken> {
        let mut source = Source::open(text)?;
        let (next, at) = source.next()?;
        if !matches!(next, Next::MapStart) {
            let root = source.rest(next, at, 0)?;
            Fields::open(root, Path::ROOT, &mut self.out);
            return Ok(Once::Read(None));
        }
        let mut fields = Fields::empty(at, Path::ROOT);
        let mut organization = None;
        while let Some(key) = next_key(&mut source)? {
            match Section::of(&key) {
                Some(section) => {
                    organization.get_or_insert_with(|| self.first(&mut fields, known));
                    if fields.add(key, empty_list(), &mut self.out) {
                        self.long_section(&mut source, section)?;
                    } else {
                        source.skip()?;
                    }
                }
                None if organization.is_some() && is_first(&key) => return Ok(Once::OutOfOrder),
                None => {
                    let value = source.node()?;
                    fields.add(key, value, &mut self.out);
                }
            }
        }
        source.close()?;
        let organization = organization.unwrap_or_else(|| self.first(&mut fields, known));
        self.last(fields);
        Ok(Once::Read(organization))
    }

    /// Reads the short sections of the file, then the long ones.
    fn twice(&mut self, text: &str, known: &impl Fn(Preset) -> Known) -> Result<Option<Id>, Broken> {
        let mut source = Source::open(text)?;
        let (_, at) = source.next()?;
        let mut fields = Fields::empty(at, Path::ROOT);
        while let Some(key) = next_key(&mut source)? {
            let value = if Section::of(&key).is_some() {
                source.skip()?;
                empty_list()
            } else {
                source.node()?
            };
            fields.add(key, value, &mut self.out);
        }
        source.close()?;
        let organization = self.first(&mut fields, known);

        let mut source = Source::open(text)?;
        source.next()?;
        let mut seen = HashSet::new();
        while let Some(key) = next_key(&mut source)? {
            match Section::of(&key) {
                Some(section) if seen.insert(section) => self.long_section(&mut source, section)?,
                _ => source.skip()?,
            }
        }
        self.last(fields);
        Ok(organization)
    }

    fn long_section(&mut self, source: &mut Source<'_>, section: Section) -> Result<(), Broken> {
        let key = Path::ROOT.key(section.key());
        match source.next()? {
            (Next::ListStart, _) => {}
            (next, at) => {
                let found = source.rest(next, at, 1)?.describe();
                self.out.add(at, key, format!("expected a list, found {found}"));
                return Ok(());
            }
        }
        for item in 0.. {
            let node = match source.next()? {
                (Next::ListEnd, _) => break,
                (next, at) => source.rest(next, at, 2)?,
            };
            let Some(fields) = Fields::open(node, key.index(item), &mut self.out) else { continue };
            match section {
                Section::Users => self.user(fields, item),
                Section::ServiceAccounts => self.service_account(fields, item),
                Section::Groups => self.group(fields, item),
                Section::Assignments => self.assignment(fields, item),
                Section::Grants => self.grant(fields, item),
                Section::Relations => self.relation(fields, item),
                // `Section::long` names no other.
                _ => {}
            }
        }
        Ok(())
    }

    /// Notes that `key` is given at `at`. `false`, and a problem, if it was before.
    pub fn declare(&mut self, key: Key, at: At, (section, item): (Section, usize), path: Path<'_>) -> bool {
        use std::collections::hash_map::Entry::{Occupied, Vacant};
        match self.index.entry(key) {
            Occupied(first) => {
                let message = format!("{} is already given in line {}", first.key().describe(), first.get().at.line);
                self.out.add(at, path, message);
                false
            }
            Vacant(free) => {
                let item = u32::try_from(item).unwrap_or(u32::MAX);
                free.insert(Entry { at, section, item, row: None });
                true
            }
        }
    }

    /// Keeps a row whose key was declared.
    pub fn keep(&mut self, row: Row) {
        let number = u32::try_from(self.rows.len()).ok();
        if let Some(entry) = self.index.get_mut(&row.key()) {
            entry.row = number;
        }
        self.rows.push(row);
    }

    /// Keeps a row that the file only implies.
    pub fn imply(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Notes that the row of `key` must exist.
    pub fn refer(&mut self, key: Key, at: At, path: Path<'_>) {
        if !self.exists(&key) {
            self.later.push(Later { key, at, path: path.to_string(), join: None });
        }
    }

    /// Makes the row of `key` a direct member of `group`.
    pub fn join(&mut self, key: Key, (group, item): (&Id, usize), at: At, path: Path<'_>) {
        if !self.joined(&key, group) {
            let join = Some((group.clone(), item));
            self.later.push(Later { key, at, path: path.to_string(), join });
        }
    }

    fn exists(&self, key: &Key) -> bool {
        self.index.contains_key(key)
            || match key {
                // A file without accounts has one all the same.
                Key::Account(id) => self.default_account.as_ref() == Some(id),
                Key::Role(id) => self.known.roles.contains_key(id.as_str()),
                Key::Group(id) => SYSTEM_GROUPS.contains(&id.as_str()),
                _ => false,
            }
    }

    /// Whether the row is there already; then it is now in the group.
    fn joined(&mut self, key: &Key, group: &Id) -> bool {
        let row = self.index.get(key).and_then(|entry| entry.row);
        let row = row.and_then(|row| self.rows.get_mut(usize::try_from(row).ok()?));
        let groups = match row {
            Some(Row::User(user)) => &mut user.groups,
            Some(Row::Service(service)) => &mut service.groups,
            Some(Row::Group(group)) => &mut group.groups,
            _ => return false,
        };
        if let Err(position) = groups.binary_search(group) {
            groups.insert(position, group.clone());
        }
        true
    }

    /// Everything is given now: whatever still is unknown is a problem.
    pub fn look_up(&mut self) {
        for Later { key, at, path, join } in std::mem::take(&mut self.later) {
            if !self.exists(&key) {
                self.out.add(at, path, format!("unknown {}", key.describe()));
            } else if let Some((group, item)) = join
                && !self.joined(&key, &group)
                && !self.index.contains_key(&key)
                && let Key::Group(id) = &key
            {
                // A system group has no row until there is something to keep about it.
                let item = u32::try_from(item).unwrap_or(u32::MAX);
                self.index.insert(key.clone(), Entry { at, section: Section::Groups, item, row: None });
                self.keep(Row::Group(Group {
                    id: id.clone(),
                    name: String::new(),
                    kind: GroupKind::System,
                    photo_uri: String::new(),
                    visibility: Visibility::default(),
                    groups: vec![group],
                }));
            }
        }
    }

    /// The default account. There is none only if the file is refused anyway.
    pub fn home(&self) -> Option<Id> {
        self.default_account.clone().or_else(|| Id::parse(DEFAULT_ACCOUNT).ok())
    }
}

/// What stands for a long section among the short ones.
fn empty_list() -> Node<'static> {
    Node { at: At::START, what: What::List(Vec::new()) }
}

/// Whether [`Reader::first`] reads this section.
fn is_first(key: &Node<'_>) -> bool {
    matches!(&key.what, What::Scalar(scalar) if FIRST.contains(&&*scalar.text))
}

fn next_key<'t>(source: &mut Source<'t>) -> Result<Option<Node<'t>>, Broken> {
    match source.next()? {
        (Next::MapEnd, _) => Ok(None),
        (next, at) => source.rest(next, at, 1).map(Some),
    }
}
