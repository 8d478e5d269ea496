// Prints what AsyncAPI's own parser says of the document whose path is the argument: {version, channels, diagnostics}.
const { Parser, fromFile } = require('@asyncapi/parser');

async function main() {
  const { document, diagnostics } = await fromFile(new Parser(), process.argv[2]).parse();
  const said = {
    version: document ? document.version() : null,
    channels: document ? document.channels().all().map((channel) => channel.address()) : [],
    diagnostics: diagnostics.map(({ severity, code, path, message }) => ({ severity, code, path: path.join('.'), message })),
  };
  console.log(JSON.stringify(said));
}

main();
