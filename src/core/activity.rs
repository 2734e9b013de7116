//! What a change did, in the bounds of an entry of the activity log (rule 7.5): rows before and after, with
//! what is personal of users sealed.
//!
//! A *seal* is SHA-256 over a salt and the encoded [`Person`]. An entry holds the seal; salt and person lie
//! beside it and can be erased without a trace in the entry, whose hash stays what it was. A salt is known
//! to nobody once it is erased, so a seal cannot be compared with guesses.
//!
//! A membership stands in the row of its member. Here it is told as what it is, so that adding somebody to
//! a group keeps no copy of the member.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};

use super::id::{Email, Id, OpaqueId};
use super::limits::{MAX_ENTRY_BYTES, MAX_ENTRY_CHANGES};
use super::model::{Credential, Key, Millis, Row, SignOn, Status, Target, User, UserKind, Value, Write};
use super::table::Table;

/// SHA-256.
pub type Hash = [u8; 32];
/// What makes a seal worthless to whoever guesses.
pub type Salt = [u8; 16];

/// What is personal of a user.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Person {
    /// The address.
    #[n(0)]
    pub email: Email,
    /// May be empty.
    #[n(1)]
    pub first_name: String,
    /// May be empty.
    #[n(2)]
    pub last_name: String,
    /// Typed attributes.
    #[n(3)]
    pub attributes: BTreeMap<String, Value>,
    /// The identities bound to it (rule 2.4).
    #[n(4)]
    #[cbor(default)]
    pub sign_ons: Vec<SignOn>,
}

/// A user without what is personal, and without its groups.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Shell {
    /// Its id.
    #[n(0)]
    pub id: OpaqueId,
    /// Of the organization, or from outside.
    #[n(1)]
    pub kind: UserKind,
    /// The account it belongs to.
    #[n(2)]
    pub account: Id,
    /// A user id.
    #[n(3)]
    pub manager: Option<OpaqueId>,
    /// The current status.
    #[n(4)]
    pub status: Status,
    /// What `activate` restores.
    #[n(5)]
    pub status_before: Option<Status>,
    /// The groups it was invited through.
    #[n(6)]
    pub pending_groups: Vec<Id>,
}

/// A credential without the hash of its token.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Tokenless {
    /// Its id.
    #[n(0)]
    pub id: Id,
    /// The service account that it is of.
    #[n(1)]
    pub service: OpaqueId,
    /// May be empty.
    #[n(2)]
    pub display_name: String,
    /// When it was made.
    #[n(3)]
    pub created_at: Millis,
    /// When it ceases to be valid.
    #[n(4)]
    pub expires_at: Option<Millis>,
    /// When it was revoked.
    #[n(5)]
    pub revoked_at: Option<Millis>,
    /// The credential that replaced it.
    #[n(6)]
    pub rotated_to: Option<Id>,
    /// Whether its bearer is trusted to act on behalf of users (rule 7.6).
    #[n(7)]
    pub acts_for_users: bool,
}

/// Stands for what lies beside an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Seal {
    /// Which of those beside the entry.
    #[n(0)]
    pub number: u16,
    /// SHA-256 over salt and value.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub hash: Hash,
}

/// A row in an entry. Groups of which it is a member are not in it.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Kept {
    /// Of anything but a user or a credential.
    #[n(0)]
    Row(#[n(0)] Row),
    /// A user.
    #[n(1)]
    User(#[n(0)] Shell, #[n(1)] Seal),
    /// A credential.
    #[n(2)]
    Credential(#[n(0)] Tokenless),
}

/// What became of one row.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Changed {
    /// Which.
    #[n(0)]
    pub key: Key,
    /// Whether the row itself changed, rather than only its memberships.
    #[n(1)]
    pub own: bool,
    /// The row before.
    #[n(2)]
    pub before: Option<Kept>,
    /// The row after.
    #[n(3)]
    pub after: Option<Kept>,
    /// Groups that it was put in.
    #[n(4)]
    pub joined: Vec<Id>,
    /// Groups that it was taken out of.
    #[n(5)]
    pub left: Vec<Id>,
}

/// What lies beside an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// Whose it is.
    pub user: OpaqueId,
    /// As [`Seal::number`].
    pub number: u16,
    /// Salt and encoded [`Person`].
    pub value: Vec<u8>,
}

/// What a change did.
#[derive(Debug, Default)]
pub struct Deed {
    /// The first of the changes: at most [`MAX_ENTRY_CHANGES`] and about [`MAX_ENTRY_BYTES`], but at least one.
    pub changes: Vec<Changed>,
    /// How many there were, memberships counted one by one.
    pub count: u64,
    /// What is personal in `changes`.
    pub beside: Vec<Beside>,
    /// The account that all of it is about.
    pub account: Option<Id>,
    /// For people. Says nothing personal.
    pub summary: String,
}

impl Deed {
    /// What `writes` change in `before` to come to `after`. Costs what they touch. Salts come from `seed`,
    /// which must be forgotten.
    #[must_use]
    pub fn of(before: &Table, after: &Table, writes: &[Write], seed: &Salt) -> Self {
        let mut deed = Self::default();
        let mut sealer = Sealer { seed, beside: Vec::new() };
        let (mut room, mut bytes) = (MAX_ENTRY_CHANGES, 0);
        let mut accounts: Option<Option<Id>> = None;
        for write in writes {
            let (key, new) = match write {
                Write::Put(row) => (row.key(), Some(row)),
                Write::Delete(key) => (key.clone(), None),
            };
            let mut old = before.row(&key);
            let groups_before = old.as_mut().map(take_groups).unwrap_or_default();
            let (joined, left) = moves(&groups_before, new.map_or(&[], groups));
            let own = differs(old.as_mut(), new);
            deed.count += u64::from(own) + (joined.len() + left.len()) as u64;
            if accounts != Some(None) {
                for row in old.iter().chain(new) {
                    let found = account_of(row, before, after);
                    accounts = Some(if accounts.as_ref().is_none_or(|a| *a == found) { found } else { None });
                }
            }
            if deed.summary.is_empty() {
                deed.summary = told(&key, own, old.is_some(), new.is_some(), &joined, &left);
            }
            if room == 0 || bytes >= MAX_ENTRY_BYTES {
                room = 0;
                continue;
            }
            let known = sealer.beside.len();
            let (mut before, mut after) = (None, None);
            if own {
                before = old.and_then(|row| sealer.kept(row));
                after = new.and_then(|row| sealer.kept(row.clone()));
                room -= 1;
            }
            let mut some = |groups: Vec<&Id>| {
                let some: Vec<Id> = groups.into_iter().take(room).cloned().collect();
                room -= some.len();
                some
            };
            let changed = Changed { key, own, before, after, joined: some(joined), left: some(left) };
            let sealed = sealer.beside.iter().skip(known).map(|beside| beside.value.len());
            bytes += minicbor::to_vec(&changed).map_or(0, |bytes| bytes.len()) + sealed.sum::<usize>();
            deed.changes.push(changed);
        }
        deed.account = accounts.flatten();
        if deed.count > 1 {
            deed.summary = format!("{} and {} more", deed.summary, deed.count - 1);
        }
        deed.beside = sealer.beside;
        deed
    }
}

/// The person that lies beside an entry.
///
/// # Errors
/// It is not what was sealed.
pub fn open(seal: &Seal, value: &[u8]) -> Result<Person, Altered> {
    if <Hash>::from(Sha256::digest(value)) != seal.hash {
        return Err(Altered);
    }
    let (_, person) = value.split_first_chunk::<16>().ok_or(Altered)?;
    minicbor::decode(person).map_err(|_| Altered)
}

/// What lies beside an entry is not what was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Altered;

struct Sealer<'a> {
    seed: &'a Salt,
    beside: Vec<Beside>,
}

impl Sealer<'_> {
    fn kept(&mut self, mut row: Row) -> Option<Kept> {
        take_groups(&mut row);
        match row {
            Row::User(user) => {
                let (shell, person) = apart(user);
                let seal = self.seal(&shell.id, &person)?;
                Some(Kept::User(shell, seal))
            }
            Row::Credential(credential) => Some(Kept::Credential(credential.into())),
            row => Some(Kept::Row(row)),
        }
    }

    /// Before and after are often the same person: then they share a seal.
    fn seal(&mut self, user: &OpaqueId, person: &Person) -> Option<Seal> {
        let encoded = minicbor::to_vec(person).ok()?;
        let same = |beside: &&Beside| beside.user == *user && beside.value.get(16..) == Some(&encoded);
        if let Some(known) = self.beside.last().filter(same) {
            return Some(Seal { number: known.number, hash: Sha256::digest(&known.value).into() });
        }
        let number = u16::try_from(self.beside.len()).ok()?;
        let salt = Sha256::new().chain_update(self.seed).chain_update(number.to_be_bytes()).finalize();
        let mut value: Vec<u8> = salt.into_iter().take(size_of::<Salt>()).collect();
        value.extend_from_slice(&encoded);
        let hash = Sha256::digest(&value).into();
        self.beside.push(Beside { user: user.clone(), number, value });
        Some(Seal { number, hash })
    }
}

/// Field by field, so that a new one is thought of: is it personal?
fn apart(user: User) -> (Shell, Person) {
    let User {
        id,
        email,
        first_name,
        last_name,
        kind,
        account,
        manager,
        status,
        status_before,
        pending_groups,
        attributes,
        groups: _,
        sign_ons,
    } = user;
    let shell = Shell { id, kind, account, manager, status, status_before, pending_groups };
    (shell, Person { email, first_name, last_name, attributes, sign_ons })
}

/// Field by field, so that a new one is thought of: is it a secret?
impl From<Credential> for Tokenless {
    fn from(credential: Credential) -> Self {
        let Credential {
            id,
            service,
            display_name,
            hash: _,
            created_at,
            expires_at,
            revoked_at,
            rotated_to,
            acts_for_users,
        } = credential;
        Self { id, service, display_name, created_at, expires_at, revoked_at, rotated_to, acts_for_users }
    }
}

impl Shell {
    /// The user again.
    #[must_use]
    pub fn with(self, person: Person) -> User {
        let Self { id, kind, account, manager, status, status_before, pending_groups } = self;
        let Person { email, first_name, last_name, attributes, sign_ons } = person;
        User {
            id,
            email,
            first_name,
            last_name,
            kind,
            account,
            manager,
            status,
            status_before,
            pending_groups,
            attributes,
            groups: Vec::new(),
            sign_ons,
        }
    }
}

fn groups(row: &Row) -> &[Id] {
    match row {
        Row::User(user) => &user.groups,
        Row::Service(service) => &service.groups,
        Row::Group(group) => &group.groups,
        _ => &[],
    }
}

fn take_groups(row: &mut Row) -> Vec<Id> {
    match row {
        Row::User(user) => std::mem::take(&mut user.groups),
        Row::Service(service) => std::mem::take(&mut service.groups),
        Row::Group(group) => std::mem::take(&mut group.groups),
        _ => Vec::new(),
    }
}

/// Who was put in and who taken out. Groups are sorted in every row.
fn moves<'a>(old: &'a [Id], new: &'a [Id]) -> (Vec<&'a Id>, Vec<&'a Id>) {
    let missing = |from: &'a [Id], other: &[Id]| from.iter().filter(|g| other.binary_search(g).is_err()).collect();
    if old == new { (Vec::new(), Vec::new()) } else { (missing(new, old), missing(old, new)) }
}

/// Whether anything but memberships differs. The groups of `old` were taken out, and are those of `new` then.
fn differs(old: Option<&mut Row>, new: Option<&Row>) -> bool {
    let (Some(old), Some(new)) = (old, new) else { return true };
    match (&mut *old, new) {
        (Row::User(old), Row::User(new)) => old.groups.clone_from(&new.groups),
        (Row::Service(old), Row::Service(new)) => old.groups.clone_from(&new.groups),
        (Row::Group(old), Row::Group(new)) => old.groups.clone_from(&new.groups),
        _ => {}
    }
    old != new
}

/// The account that a row is about; none for what is of the organization as a whole.
fn account_of(row: &Row, before: &Table, after: &Table) -> Option<Id> {
    match row {
        Row::User(user) => Some(user.account.clone()),
        Row::Service(service) => Some(service.account.clone()),
        Row::Credential(credential) => {
            let of = |table: &Table| table.account_of(&table.find_service(&credential.service)?).cloned();
            of(after).or_else(|| of(before))
        }
        Row::Assignment(assignment) => of_target(&assignment.target),
        Row::Grant(grant) => of_target(&grant.target),
        Row::Emergency(rule) => of_target(&rule.target),
        Row::Activation(activation) => of_target(&activation.target),
        Row::Settings(_)
        | Row::Account(_)
        | Row::Permission(_)
        | Row::Object(_)
        | Row::Role(_)
        | Row::Group(_)
        | Row::Related(_)
        | Row::SafelistElement(_)
        | Row::Separation(_)
        | Row::Policy(_) => None,
    }
}

fn of_target(target: &Target) -> Option<Id> {
    match target {
        Target::Account(account) => Some(account.clone()),
        Target::Organization | Target::Object(_) | Target::Record(..) => None,
    }
}

fn told(key: &Key, own: bool, was: bool, is: bool, joined: &[&Id], left: &[&Id]) -> String {
    let what = key.describe();
    match (was, is, joined, left) {
        (false, ..) => format!("create {what}"),
        (true, false, ..) => format!("delete {what}"),
        (_, _, [group, ..], _) if !own => format!("add {what} to group `{group}`"),
        (_, _, _, [group, ..]) if !own => format!("remove {what} from group `{group}`"),
        _ => format!("update {what}"),
    }
}
