// A certified OpenID Connect provider with three people; prints its port once it listens.
//   REDIRECT   where it sends browsers back to
//   IN_TOKEN   "yes" puts the claims into the ID token, too
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.env.NODE_PATH}/`);
const { default: Provider } = await import(pathToFileURL(require.resolve("oidc-provider")));

const PEOPLE = {
  irem: { name: "İrem Işık", preferred_username: "İREM", groups: ["radyoloji", "herkes"] },
  ayse: { name: "Ayşe Yılmaz", preferred_username: "ayse", groups: ["bilgi-islem"] },
  kimse: { name: "Kimse", preferred_username: "kimse", groups: ["herkes"] },
};

const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const server = createServer().listen(0, "127.0.0.1", () => {
  const { port } = server.address();
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [{
      client_id: "tetkik",
      client_secret: "a-secret-of-the-test",
      redirect_uris: [process.env.REDIRECT],
    }],
    jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), use: "sig", kid: "one" }] },
    cookies: { keys: ["a-key-of-the-test"] },
    claims: { openid: ["sub"], profile: ["name", "preferred_username", "groups"] },
    conformIdTokenClaims: process.env.IN_TOKEN !== "yes",
    findAccount: (_, id) => PEOPLE[id] && { accountId: id, claims: () => ({ sub: id, ...PEOPLE[id] }) },
    features: { devInteractions: { enabled: true } },
    pkce: { required: () => true },
  });
  server.on("request", provider.callback());
  console.log(port);
});
