// Plans run by Cerbos' adapter for Prisma, by a Prisma client, on the test's PostgreSQL. A line of JSON asks, a
// line answers. The first argument is a folder where what prisma/package.json names is installed and the client
// is generated; the second where PostgreSQL's socket is, the third its user.
//
//   {"plan": a PlanResources reply, "types": {field: type}}    {"ids": [...]} or {"refused": why}
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [folder, host, user] = process.argv.slice(2);
const say = (answer) => process.stdout.write(JSON.stringify(answer) + "\n");

let cerbos, prisma, queryPlanToPrisma;
try {
  const require = createRequire(`${folder}/`);
  cerbos = require("@cerbos/core");
  ({ queryPlanToPrisma } = require("@cerbos/orm-prisma"));
  const { PrismaPg } = require("@prisma/adapter-pg");
  const { PrismaClient } = require("./generated");
  prisma = new PrismaClient({ adapter: new PrismaPg({ host, user, database: "postgres" }), errorFormat: "minimal" });
  await prisma.$connect();
} catch (error) {
  say(`${folder} has not what it needs: ${error.message}`);
  process.exit();
}

// As Cerbos' own client reads a reply.
function operand(sent) {
  if ("expression" in sent) {
    return new cerbos.PlanExpression(sent.expression.operator, sent.expression.operands.map(operand));
  }
  return "variable" in sent
    ? new cerbos.PlanExpressionVariable(sent.variable)
    : new cerbos.PlanExpressionValue(sent.value);
}

async function run({ plan, types }) {
  const { kind, condition } = plan.filter;
  const queryPlan = { kind, condition: condition && operand(condition) };
  const mapper = { "request.resource.id": { field: "id" } };
  for (const [field, type] of Object.entries(types)) {
    mapper[`request.resource.attr.${field}`] = { field: type ? `${field}_${type}` : field };
  }
  let found;
  try {
    found = queryPlanToPrisma({ queryPlan, mapper });
  } catch (error) {
    return { refused: `adapter: ${error.message}` };
  }
  if (found.kind === cerbos.PlanKind.ALWAYS_DENIED) return { ids: [] };
  try {
    const rows = await prisma.record.findMany({ where: found.filters, select: { id: true } });
    return { ids: rows.map((row) => row.id) };
  } catch (error) {
    // What is no filter of this schema.
    if (error.name !== "PrismaClientValidationError") throw error;
    return { refused: `client: ${error.message.split("\n").at(-1)}` };
  }
}

say("ready");
for await (const line of createInterface({ input: process.stdin })) {
  try {
    say(await run(JSON.parse(line)));
  } catch (error) {
    say({ failed: `${error.name}: ${error.message}` });
  }
}
await prisma.$disconnect();
