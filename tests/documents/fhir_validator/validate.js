// Validates each resource of a JSON array on stdin; answers with an array of {valid, messages}.
// NODE_PATH names the folder of the package `fhir`.
const { Fhir } = require("fhir");

const fhir = new Fhir();
const resources = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const answers = resources.map((resource) => fhir.validate(resource, { errorOnUnexpected: true }));
process.stdout.write(JSON.stringify(answers));
