"""The service's checkout: a small package whose sources are really checked, searched, covered and built by npm, npx and git.

No compiler and no linter can be had without a network, so the checkout brings small ones of its own, as its
`node_modules` would: `tsc` has node parse every source (they are written in what JavaScript and TypeScript share),
`eslint` refuses `var` and `==`, `bundlesize` weighs the build.
"""

import json
from pathlib import Path

from chrysalis.sandbox.programs import git, run

_PACKAGE = {
    "name": "crystal-observer",
    "version": "2.0.0",
    "private": True,
    "scripts": {"build": "node build.js", "test:cover": "node cover.js"},
}
_LOCK = {
    "name": "crystal-observer",
    "version": "2.0.0",
    "lockfileVersion": 3,
    "requires": True,
    "packages": {"": {"name": "crystal-observer", "version": "2.0.0"}},
}
_FILES = {
    "package.json": json.dumps(_PACKAGE, indent=2) + "\n",
    "package-lock.json": json.dumps(_LOCK, indent=2) + "\n",
    # Nothing leaves this machine: there is nothing to audit but the package itself.
    ".npmrc": "registry=http://127.0.0.1:9/\nfetch-retries=0\n",
    "lib/fieldProtocol/parallelFieldProcessor.ts": """\
'use strict';
const stages = ['sense', 'weigh', 'answer'];

function processField(field) {
  const seen = stages.map((stage) => ({ stage, strength: field.strength / stages.length }));
  return seen.reduce((sum, one) => sum + one.strength, 0);
}

module.exports = { processField };
""",
    "lib/fieldProtocol/coherence.ts": """\
'use strict';
function coherence(parts) {
  if (parts.length === 0) {
    return 0;
  }
  const mean = parts.reduce((sum, one) => sum + one, 0) / parts.length;
  return Math.max(0, Math.min(1, mean));
}

module.exports = { coherence };
""",
    "components/fieldProtocol/weather.ts": """\
'use strict';
function weather(coherence) {
  if (coherence > 0.6) {
    return 'flowing';
  }
  return coherence > 0.4 ? 'still' : 'stormy';
}

module.exports = { weather };
""",
    "build.js": """\
const { execSync } = require('child_process');
const fs = require('fs');
const sources = execSync('git ls-files lib components').toString().trim().split('\\n');
fs.mkdirSync('.next/static/chunks', { recursive: true });
fs.writeFileSync('.next/static/chunks/main.js', sources.map((one) => fs.readFileSync(one, 'utf8')).join('\\n'));
""",
    ".gitignore": "node_modules/\n.next/\n",
}
_PROGRAMS = {
    "tsc": """\
for source in $(git ls-files '*.ts'); do node --check - < "$source" || exit 2; done
""",
    "eslint": """\
found=$(git ls-files '*.ts' '*.js' | xargs grep -nE '(^|[^a-zA-Z.])var |[^=!]==[^=]')
[ -z "$found" ] || { echo "$found"; exit 1; }
""",
    "bundlesize": """\
weight=$(cat .next/static/chunks/*.js | wc -c)
echo "bundle: $weight bytes, at most 500000"
[ "$weight" -lt 500000 ]
""",
}


def make_repository(folder: Path) -> None:
    """The checkout with two commits, the first one tagged as the version before; built once. Safe to repeat."""
    if (folder / ".git").exists():
        return
    for name, content in _FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    programs = folder / "node_modules" / ".bin"
    programs.mkdir(parents=True)
    for name, script in _PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}", encoding="utf-8")
        (programs / name).chmod(0o755)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "Observe the field")
    git(folder, "tag", "-a", "v1.9.0", "-m", "The version before")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "Release 2.0.0")
    run(["npm", "run", "build"], folder)
