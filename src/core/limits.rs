//! Every bound on what an organization may contain (INVARIANT 8). Exceeding one is a clear error.

/// Permissions in one catalogue, built-in ones included. Classes are numbered in 16 bits.
pub const MAX_PERMISSIONS: usize = 50_000;
/// Aliases of one permission.
pub const MAX_ALIASES: usize = 16;
/// Patterns in one role.
pub const MAX_PATTERNS: usize = 50_000;
/// Groups of which one member is a direct member.
pub const MAX_GROUPS_OF_MEMBER: usize = 5_000;
/// Roles and grants that one principal holds directly at the organization, accounts and objects.
pub const MAX_HELD_DIRECTLY: usize = 20_000;
/// Roles and grants at one record.
pub const MAX_HELD_AT_RECORD: usize = 10_000;
/// Data-access policies of one object.
pub const MAX_POLICIES: usize = 1_000;
/// Members of one data-access policy.
pub const MAX_POLICY_MEMBERS: usize = 1_000;
/// Separation constraints of an organization.
pub const MAX_SEPARATIONS: usize = 1_000;
/// Roles of one separation constraint.
pub const MAX_SEPARATED_ROLES: usize = 100;
/// Rules of emergency access of an organization.
pub const MAX_EMERGENCY_RULES: usize = 1_000;
/// Users whom one rule of emergency access names.
pub const MAX_EMERGENCY_USERS: usize = 1_000;
/// The longest activation, in milliseconds: 7 days.
pub const MAX_EMERGENCY_MS: i64 = 7 * 24 * 60 * 60 * 1_000;
/// Activations of an organization that are kept, those included that are over; the activity log has all.
pub const MAX_ACTIVATIONS: usize = 10_000;
/// Identities bound to one user.
pub const MAX_SIGN_ONS: usize = 20;
/// Bytes of an identity's issuer.
pub const MAX_ISSUER_BYTES: usize = 2_048;
/// Bytes of an identity's subject.
pub const MAX_SUBJECT_BYTES: usize = 256;
/// Credentials of one service account, those included that ended.
pub const MAX_CREDENTIALS: usize = 100;
/// Elements on a safelist or a denylist.
pub const MAX_LISTED: usize = 10_000;
/// E-mail domains of an organization, of a dynamic group or of the invite policy.
pub const MAX_DOMAINS: usize = 1_000;
/// Declared fields of an object, declared user attributes, or attributes of one principal.
pub const MAX_FIELDS: usize = 256;
/// Bytes of a field's or attribute's name.
pub const MAX_FIELD_NAME_BYTES: usize = 128;
/// Bytes of a name.
pub const MAX_NAME_BYTES: usize = 256;
/// Bytes of a description.
pub const MAX_DESCRIPTION_BYTES: usize = 4_096;
/// Bytes of the address of a picture.
pub const MAX_URI_BYTES: usize = 2_048;
/// Bytes of all attributes of one principal, encoded.
pub const MAX_ATTRIBUTES_BYTES: usize = 32 * 1_024;
/// Rows that one entry of the activity log tells of, before and after.
pub const MAX_ENTRY_CHANGES: usize = 1_000;
/// Bytes of the rows in one entry of the activity log; the last row may go beyond.
pub const MAX_ENTRY_BYTES: usize = 512 * 1_024;
/// Accounts, objects, groups or roles ever created in the life of a process.
pub const MAX_NUMBERS: usize = 1 << 30;
/// Sample records against which a condition is tried.
pub const MAX_SAMPLES: usize = 1_000;
/// Steps that are told of one try, of all sample records together.
pub const MAX_SAMPLE_STEPS: usize = 5_000;
/// Violations gathered before the rest is only counted out.
pub const MAX_VIOLATIONS: usize = 100;
/// Records that a plan names because of what is held at them, or told of them.
pub const MAX_PLANNED_RECORDS: usize = 10_000;
/// Users whom a plan names as reports.
pub const MAX_PLANNED_REPORTS: usize = 10_000;
/// Operands of a plan, elements of lists included.
pub const MAX_PLANNED_OPERANDS: usize = 100_000;
/// Records that a plan looks at, as often as it does.
pub const MAX_PLANNED_VISITS: usize = 20_000_000;
