//! In this process: Doorward's decision, cedar-policy, casbin and regorus over one world and one
//! list of questions. First all of them must give the right answer to every question; then they are
//! timed in turn, round by round. `inside [--quick]`
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench may fail loudly")]

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hint::black_box;
use std::ops::Range;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use casbin::{CachedApi, CachedEnforcer, CoreApi, DefaultModel, MemoryAdapter, MgmtApi};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, Policy, PolicySet, Request,
    RestrictedExpression,
};
use doorward::cli::file::{Known, OrganizationFile};
use doorward::clock::{Clock, SystemClock};
use doorward::core::change::{Change, apply};
use doorward::core::decision::{Question as Asked, Reason, Resource, decide};
use doorward::core::id::Id;
use doorward::core::table::Table;
use peers::files;
use peers::world::{Kind, Question, Size, World};
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::program::Program;
use regorus::rvm::vm::RegoVM;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const QUESTIONS: usize = 20_000;
const ROUNDS: usize = 5;
/// All questions are asked again until this has passed.
const ROUND: Duration = Duration::from_millis(400);

/// Somebody who is asked.
struct Peer<'a> {
    name: &'static str,
    /// Whose target it counts for.
    of: &'static str,
    /// Asks these questions and counts what is allowed: a loop of its own for each peer, so that
    /// nothing in it is called through a pointer.
    run: Box<dyn FnMut(Range<usize>) -> usize + 'a>,
    nanoseconds: Vec<f64>,
}

impl<'a> Peer<'a> {
    fn new(name: &'static str, of: &'static str, mut ask: impl FnMut(usize) -> bool + 'a) -> Self {
        let run = move |questions: Range<usize>| questions.filter(|n| black_box(ask(*n))).count();
        Self { name, of, run: Box::new(run), nanoseconds: Vec::new() }
    }
}

fn main() -> ExitCode {
    let quick = std::env::args().any(|a| a == "--quick");
    let world = World::new(Size::INSIDE);
    let count = if quick { QUESTIONS / 10 } else { QUESTIONS };
    let questions = world.questions(Kind::Plain, count);
    println!(
        "{} users, {} groups (nested three deep), {} roles, {} assignments at {} objects; {} different questions, half denied; {} cores",
        world.users.len(),
        world.groups.len(),
        world.roles.len(),
        world.assignments.len(),
        world.objects.len(),
        questions.len(),
        std::thread::available_parallelism().map_or(0, usize::from)
    );
    let table = doorward(&world);
    let principals: Vec<String> = questions.iter().map(|q| format!("user:{}", world.users[q.user].id)).collect();
    let asked: Vec<Asked<'_>> =
        questions.iter().zip(&principals).map(|(q, principal)| ask(&world, q, principal)).collect();
    let cedar = Cedar::new(&world, &questions);
    let casbin = casbin(&world);
    let texts: Vec<[&str; 3]> = questions
        .iter()
        .map(|q| [world.users[q.user].id.as_str(), &world.objects[q.object], &world.permissions[q.permission]])
        .collect();
    let rego = Rego::new(&world, "authz", &files::rego(), &texts);
    let flat = Rego::new(&world, "flat", &files::rego_flat(), &texts);

    let now = SystemClock.now();
    let (authorizer, asked, texts) = (Authorizer::new(), &asked[..], &texts[..]);
    let (cedar, authorizer, casbin) = (&cedar, &authorizer, &casbin);
    let allows = |d: Decision| d == Decision::Allow;
    let mut all = vec![
        Peer::new("doorward", "", |n| decide(&table, &asked[n], now).unwrap() == Reason::Allowed),
        Peer::new("cedar-policy, a policy for each assignment", "cedar-policy", |n| {
            allows(authorizer.is_authorized(&cedar.plain[n], &cedar.policies, &cedar.entities).decision())
        }),
        Peer::new("cedar-policy, of these only the object's, cut by the caller", "cedar-policy", |n| {
            let policies = &cedar.by_object[questions[n].object];
            allows(authorizer.is_authorized(&cedar.plain[n], policies, &cedar.entities).decision())
        }),
        Peer::new("cedar-policy, one policy over tags of the object", "cedar-policy", |n| {
            allows(authorizer.is_authorized(&cedar.tagged[n], &cedar.one, &cedar.entities).decision())
        }),
        Peer::new("casbin, every answer in its cache", "casbin", |n| {
            let [user, object, permission] = texts[n];
            casbin.enforce((user, object, permission)).unwrap()
        }),
        rego.compiled("regorus, compiled policy", "regorus"),
        rego.machine("regorus, its virtual machine", "regorus"),
        flat.compiled("regorus, compiled policy, roles and groups resolved beforehand", "regorus"),
        flat.machine("regorus, its virtual machine, roles and groups resolved beforehand", "regorus"),
    ];

    let mut wrong = 0;
    for peer in &mut all {
        let start = Instant::now();
        let differs: Vec<usize> =
            (0..count).filter(|n| ((peer.run)(*n..n + 1) == 1) != questions[*n].expected[0]).collect();
        println!("{}: {} of {count} answers wrong ({:.1} s)", peer.name, differs.len(), start.elapsed().as_secs_f64());
        if let Some(n) = differs.first() {
            println!("    the first: {:?}, expected {:?}", texts[*n], questions[*n].expected);
        }
        wrong += differs.len();
    }
    if wrong > 0 {
        println!("They do not agree: nothing is measured.");
        return ExitCode::FAILURE;
    }
    for _ in 0..if quick { 1 } else { ROUNDS } {
        for peer in &mut all {
            // Once unmeasured: what the one before left in the caches is not this one's.
            let mut times = Vec::new();
            assert_eq!((peer.run)(0..count), count / 2);
            let start = Instant::now();
            while times.is_empty() || start.elapsed() < ROUND {
                let start = Instant::now();
                assert_eq!((peer.run)(0..count), count / 2);
                times.push(start.elapsed().as_nanos() as f64 / count as f64);
            }
            peer.nanoseconds.push(peers::at(0.5, &times));
        }
    }
    print(&all);
    ExitCode::SUCCESS
}

fn print(all: &[Peer<'_>]) {
    let median = |peer: &Peer<'_>| peers::at(0.5, &peer.nanoseconds);
    let own = median(&all[0]);
    println!(
        "\n| | ns a decision (median of {} rounds) | lowest to highest | times Doorward |",
        all[0].nanoseconds.len()
    );
    println!("|---|---:|---:|---:|");
    for peer in all {
        let (low, high) = (peers::at(0.0, &peer.nanoseconds), peers::at(1.0, &peer.nanoseconds));
        println!("| {} | {:.0} | {low:.0} to {high:.0} | {:.1} |", peer.name, median(peer), median(peer) / own);
    }
    for (of, wanted) in [("cedar-policy", 20.0), ("regorus", 40.0), ("casbin", 5.0)] {
        let best = all.iter().filter(|p| p.of == of).map(median).fold(f64::INFINITY, f64::min) / own;
        let met = if best >= wanted { "met" } else { "NOT MET" };
        println!("\n{of} at its best: {best:.1} times, wanted at least {wanted:.0}: {met}");
    }
}

fn doorward(world: &World) -> Table {
    let file = OrganizationFile::parse(&files::doorward(world).to_string(), "world.json", Known::of);
    let rows = file.unwrap_or_else(|errors| panic!("{errors}")).rows;
    let blank = Table::blank(Id::parse(files::ORGANIZATION).unwrap(), "bench".into(), 1);
    let applied = apply(&blank, vec![Change::Replace { rows, deactivate_missing: false }]);
    applied.unwrap_or_else(|error| panic!("{error:?}")).table
}

fn ask<'a>(world: &'a World, question: &Question, principal: &'a str) -> Asked<'a> {
    Asked {
        principal,
        permission: &world.permissions[question.permission],
        resource: Resource { object: &world.objects[question.object], ..Resource::default() },
        ..Asked::default()
    }
}

/// Entities with their ancestors, parsed policies and requests, all made beforehand.
struct Cedar {
    entities: Entities,
    policies: PolicySet,
    by_object: Vec<PolicySet>,
    one: PolicySet,
    plain: Vec<Request>,
    tagged: Vec<Request>,
}

impl Cedar {
    fn new(world: &World, questions: &[Question]) -> Self {
        let uid = |of: &str, id: &str| {
            EntityUid::from_type_name_and_id(of.parse::<EntityTypeName>().unwrap(), EntityId::new(id))
        };
        let group = |n: &usize| uid("Group", &world.groups[*n].id);
        let parents = |of: Vec<EntityUid>| of.into_iter().collect::<HashSet<_>>();
        let mut entities = Vec::new();
        for user in &world.users {
            entities
                .push(Entity::new_no_attrs(uid("User", &user.id), parents(user.groups.iter().map(group).collect())));
        }
        for (n, of) in world.groups.iter().enumerate() {
            entities.push(Entity::new_no_attrs(group(&n), parents(of.parent.iter().map(group).collect())));
        }
        for (n, permission) in world.permissions.iter().enumerate() {
            let roles =
                world.roles.iter().filter(|r| r.permissions.contains(&n)).map(|r| uid("Action", &r.id)).collect();
            entities.push(Entity::new_no_attrs(uid("Action", permission), parents(roles)));
        }
        entities.extend(world.roles.iter().map(|r| Entity::with_uid(uid("Action", &r.id))));
        for (n, object) in world.objects.iter().enumerate() {
            let mut tags: HashMap<String, BTreeSet<usize>> = HashMap::new();
            for a in world.assignments.iter().filter(|a| a.object == n) {
                for permission in &world.roles[a.role].permissions {
                    tags.entry(world.permissions[*permission].clone()).or_default().insert(a.group);
                }
            }
            let set = |groups: BTreeSet<usize>| {
                RestrictedExpression::new_set(groups.iter().map(|g| RestrictedExpression::new_entity_uid(group(g))))
            };
            let tags: Vec<_> = tags.into_iter().map(|(name, groups)| (name, set(groups))).collect();
            entities.push(Entity::new_with_tags(uid("Object", object), [], HashSet::new(), tags).unwrap());
        }
        let given: BTreeSet<_> = world.assignments.iter().map(|a| (a.object, a.role, a.group)).collect();
        let (mut policies, mut by_object) = (PolicySet::new(), vec![PolicySet::new(); world.objects.len()]);
        for (n, (object, role, holder)) in given.iter().enumerate() {
            let text = format!(
                "permit(principal in Group::\"{}\", action in Action::\"{}\", resource == Object::\"{}\");",
                world.groups[*holder].id, world.roles[*role].id, world.objects[*object]
            );
            let policy = Policy::parse(Some(cedar_policy::PolicyId::new(format!("p{n}"))), text).unwrap();
            policies.add(policy.clone()).unwrap();
            by_object[*object].add(policy).unwrap();
        }
        let one = "permit(principal, action, resource) when { resource.hasTag(context.permission) && \
            principal in resource.getTag(context.permission) };";
        let request = |q: &Question, context| {
            let action = uid("Action", &world.permissions[q.permission]);
            Request::new(
                uid("User", &world.users[q.user].id),
                action,
                uid("Object", &world.objects[q.object]),
                context,
                None,
            )
            .unwrap()
        };
        let tagged = |q: &Question| {
            let permission = RestrictedExpression::new_string(world.permissions[q.permission].clone());
            request(q, Context::from_pairs([("permission".to_owned(), permission)]).unwrap())
        };
        Self {
            entities: Entities::from_entities(entities, None).unwrap(),
            policies,
            by_object,
            one: one.parse().unwrap(),
            plain: questions.iter().map(|q| request(q, Context::empty())).collect(),
            tagged: questions.iter().map(tagged).collect(),
        }
    }
}

/// Users in groups, groups in groups, groups in roles at objects; permissions of roles at objects.
fn casbin(world: &World) -> CachedEnforcer {
    let model = "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act\n\
        [role_definition]\ng = _, _\n[policy_effect]\ne = some(where (p.eft == allow))\n\
        [matchers]\nm = r.obj == p.obj && r.act == p.act && g(r.sub, p.sub)\n";
    let (mut policies, mut memberships) = (BTreeSet::new(), BTreeSet::new());
    for user in &world.users {
        memberships.extend(user.groups.iter().map(|g| vec![user.id.clone(), world.groups[*g].id.clone()]));
    }
    for group in &world.groups {
        memberships.extend(group.parent.iter().map(|p| vec![group.id.clone(), world.groups[*p].id.clone()]));
    }
    for a in &world.assignments {
        let (role, object) = (&world.roles[a.role], &world.objects[a.object]);
        let held = format!("{}@{object}", role.id);
        memberships.insert(vec![world.groups[a.group].id.clone(), held.clone()]);
        let permission = |p: &usize| vec![held.clone(), object.clone(), world.permissions[*p].clone()];
        policies.extend(role.permissions.iter().map(permission));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let model = DefaultModel::from_str(model).await.unwrap();
        let mut enforcer = CachedEnforcer::new(model, MemoryAdapter::default()).await.unwrap();
        enforcer.add_policies(policies.into_iter().collect()).await.unwrap();
        enforcer.add_grouping_policies(memberships.into_iter().collect()).await.unwrap();
        // Its own holds 200.
        enforcer.set_cache(Box::new(casbin::DefaultCache::new(16 * QUESTIONS)));
        enforcer
    })
}

/// A policy compiled, the data and all inputs made beforehand.
struct Rego {
    compiled: regorus::CompiledPolicy,
    program: Arc<Program>,
    data: regorus::Value,
    inputs: Vec<regorus::Value>,
}

impl Rego {
    fn new(world: &World, package: &str, policy: &str, questions: &[[&str; 3]]) -> Self {
        let data = regorus::Value::from(files::rego_data(world));
        let rule = format!("data.{package}.allow");
        let mut engine = regorus::Engine::new();
        engine.add_policy("policy.rego".to_owned(), policy.to_owned()).unwrap();
        engine.add_data(data.clone()).unwrap();
        let compiled = engine.compile_with_entrypoint(&rule.as_str().into()).unwrap();
        let program = Compiler::compile_from_policy(&compiled, &[rule.as_str()]).unwrap();
        let input = |[user, object, permission]: &[&str; 3]| {
            regorus::Value::from(serde_json::json!({"user": user, "object": object, "permission": permission}))
        };
        Self { compiled, program, data, inputs: questions.iter().map(input).collect() }
    }

    fn compiled(&self, name: &'static str, of: &'static str) -> Peer<'_> {
        let yes = regorus::Value::Bool(true);
        Peer::new(name, of, move |n| self.compiled.eval_with_input(self.inputs[n].clone()).unwrap() == yes)
    }

    fn machine(&self, name: &'static str, of: &'static str) -> Peer<'_> {
        let (mut machine, yes) = (RegoVM::new(), regorus::Value::Bool(true));
        machine.load_program(Arc::clone(&self.program));
        machine.set_data(self.data.clone()).unwrap();
        Peer::new(name, of, move |n| {
            machine.set_input(self.inputs[n].clone());
            machine.execute().unwrap() == yes
        })
    }
}
