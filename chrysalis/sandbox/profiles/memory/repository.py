"""The service's checkout: the three services of Phase 3 with their 236 tests, really run by node, npm and git.

No compiler can be had without a network, so the checkout brings small ones of its own, as its `node_modules` would: `tsc`
has node parse every source (they are written in what JavaScript and TypeScript share), `type-coverage` looks for the
types of what each function takes and gives.
"""

import json
import subprocess
from pathlib import Path

from chrysalis.sandbox.programs import git
from chrysalis.sandbox.sandbox import Sandbox

TIMEOUT_S = 120.0
SCRIPTS = {
    "test": "node run.js unit && node run.js integration && node all.js unit integration",
    "test:performance": "node run.js performance",
    "test:security": "node run.js security",
    "test:regression": "node run.js unit regression",
    "analyze:bundle": "node bundle.js weigh",
    "build": "node bundle.js build",
    "build:production": "node bundle.js build",
    "security:scan": "node run.js security",
}
_PACKAGE = {"name": "memory-management", "version": "3.0.0", "private": True, "scripts": SCRIPTS}
_FILES = {
    "package.json": json.dumps(_PACKAGE, indent=2) + "\n",
    "src/costOptimizationService.ts": """\
'use strict';
class CostOptimizationService {
  /** @param {number} budget @returns {void} */
  constructor(budget) {
    this.budget = budget;
    this.spent = 0;
  }

  /** @param {number} cost @param {boolean} cached @returns {number} */
  track(cost, cached) {
    const charged = cached ? cost * 0.4 : cost;
    this.spent += charged;
    return charged;
  }

  /** @returns {boolean} */
  get exceeded() {
    return this.spent > this.budget;
  }
}

module.exports = { CostOptimizationService };
""",
    "src/memoryAnalyticsService.ts": """\
'use strict';
class MemoryAnalyticsService {
  /** @param {number[]} values @returns {{mean: number, most: number}} */
  summary(values) {
    const sum = values.reduce((total, one) => total + one, 0);
    return { mean: values.length ? sum / values.length : 0, most: Math.max(0, ...values) };
  }
}

module.exports = { MemoryAnalyticsService };
""",
    "src/memoryArchivalService.ts": """\
'use strict';
const zlib = require('node:zlib');

class MemoryArchivalService {
  /** @param {string} text @returns {Buffer} */
  archive(text) {
    return zlib.deflateSync(Buffer.from(text));
  }

  /** @param {Buffer} archived @returns {string} */
  restore(archived) {
    return zlib.inflateSync(archived).toString();
  }
}

module.exports = { MemoryArchivalService };
""",
    "load.js": """\
'use strict';
require('node:module')._extensions['.ts'] = require('node:module')._extensions['.js'];
module.exports = {
  ...require('./src/costOptimizationService.ts'),
  ...require('./src/memoryAnalyticsService.ts'),
  ...require('./src/memoryArchivalService.ts'),
  service: require('./service.json').url,
};
""",
    "test/unit.test.js": """\
'use strict';
const test = require('node:test');
const assert = require('node:assert');
const { CostOptimizationService, MemoryAnalyticsService, MemoryArchivalService } = require('../load.js');

for (let n = 1; n <= 60; n += 1) {
  test(`cost: ${n} memories within the configured budget`, () => {
    const costs = new CostOptimizationService(n);
    for (let i = 0; i < n; i += 1) costs.track(1, false);
    assert.equal(costs.exceeded, false);
    costs.track(1, true);
    assert.equal(costs.exceeded, true);
  });
  test(`analytics: summary of ${n} values`, () => {
    const values = Array.from({ length: n }, (_, i) => i);
    assert.deepEqual(new MemoryAnalyticsService().summary(values), { mean: (n - 1) / 2, most: n - 1 });
  });
  test(`archival: ${n} repetitions come back`, () => {
    const archival = new MemoryArchivalService();
    const text = 'remember this. '.repeat(n);
    assert.equal(archival.restore(archival.archive(text)), text);
  });
}
""",
    "test/integration.test.js": """\
'use strict';
const test = require('node:test');
const assert = require('node:assert');
const { service } = require('../load.js');

const paths = ['/health', '/status', '/api/cost/stats', '/api/analytics/summary', '/api/archival/metrics', '/api/config'];
for (let n = 0; n < 56; n += 1) {
  const path = paths[n % paths.length];
  test(`${n + 1}: ${path} of staging answers`, async () => {
    const answer = await fetch(service + path);
    assert.equal(answer.status, 200);
    assert.equal(typeof (await answer.json()), 'object');
  });
}
""",
    "test/performance.test.js": """\
'use strict';
const test = require('node:test');
const assert = require('node:assert');
const { service } = require('../load.js');

for (let n = 1; n <= 10; n += 1) {
  test(`a memory is taken in less than 5 s, ${n}`, async () => {
    const began = performance.now();
    const body = JSON.stringify({ userId: 'performance', text: `memory ${n}` });
    const answer = await fetch(`${service}/api/memories`, { method: 'POST', body });
    assert.equal(answer.status, 201);
    assert.ok(performance.now() - began < 5000);
  });
}
""",
    "test/security.test.js": """\
'use strict';
const test = require('node:test');
const assert = require('node:assert');
const { execSync } = require('node:child_process');
const { service } = require('../load.js');

test('no secret stands in a source', () => {
  const found = execSync("git ls-files | xargs grep -lEi '(api|secret)_?key *= *.[a-z0-9]{16}' || true").toString().trim();
  assert.equal(found, '');
});
test('what is no memory is refused', async () => {
  const answer = await fetch(`${service}/api/memories`, { method: 'POST', body: '[]' });
  assert.equal(answer.status, 400);
});
test('hostile text is a text', async () => {
  const body = JSON.stringify({ userId: 'security', text: "'; DROP TABLE memories; --" });
  assert.equal((await fetch(`${service}/api/memories`, { method: 'POST', body })).status, 201);
  assert.equal((await fetch(`${service}/health`)).status, 200);
});
""",
    "run.js": """\
'use strict';
const { spawnSync } = require('node:child_process');
const [suite, report = suite] = process.argv.slice(2);
const given = ['--test', '--test-reporter=junit', `--test-reporter-destination=../reports/${report}.xml`,
  '--test-reporter=dot', '--test-reporter-destination=stdout', `test/${suite}.test.js`];
process.exit(spawnSync(process.execPath, given, { stdio: 'inherit' }).status);
""",
    "all.js": """\
'use strict';
const fs = require('node:fs');
const cases = process.argv.slice(2).map((name) => fs.readFileSync(`../reports/${name}.xml`, 'utf8'));
const inside = cases.map((text) => text.slice(text.indexOf('<testsuites>') + 12, text.lastIndexOf('</testsuites>')));
fs.writeFileSync('../reports/all.xml', `<testsuites>${inside.join('')}</testsuites>`);
""",
    "bundle.js": """\
'use strict';
const fs = require('node:fs');
const most = 200000;
fs.mkdirSync('dist', { recursive: true });
const sources = fs.readdirSync('src').map((name) => fs.readFileSync(`src/${name}`, 'utf8'));
fs.writeFileSync('dist/main.js', sources.join('\\n'));
const weight = fs.statSync('dist/main.js').size;
console.log(`bundle: ${weight} bytes, at most ${most}`);
process.exit(weight <= most ? 0 : 1);
""",
    ".gitignore": "node_modules/\ndist/\nservice.json\n",
}
_PROGRAMS = {
    "tsc": """\
for source in $(git ls-files '*.ts'); do node --check - < "$source" || exit 2; done
""",
    "type-coverage": """\
functions=$(cat src/*.ts | grep -cE '^  (get )?[a-z][A-Za-z]*\\(.*\\) \\{$')
typed=$(cat src/*.ts | grep -A1 -E '@returns' | grep -cE '^  (get )?[a-z][A-Za-z]*\\(.*\\) \\{$')
echo "$typed of $functions functions say their types"
[ "$functions" -gt 0 ] && [ "$typed" -eq "$functions" ]
""",
}


def make_repository(sandbox: Sandbox, service_url: str) -> Path:
    """The checkout with its feature branch; where its tests find the service is written beside it. Safe to repeat."""
    folder = sandbox.folder / "repository"
    for name, content in _FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    (folder / "service.json").write_text(json.dumps({"url": service_url}), encoding="utf-8")
    programs = folder / "node_modules" / ".bin"
    programs.mkdir(parents=True, exist_ok=True)
    for name, script in _PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}", encoding="utf-8")
        (programs / name).chmod(0o755)
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet", "--initial-branch", "feature/phase-3-sprint-3")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "-m", "Manage memories")
    return folder


def run_script(folder: Path, name: str) -> int:
    """A script of its `package.json`, as npm runs it: by the shell, with its programs on the path. Returns the exit code."""
    path = f"{folder / 'node_modules' / '.bin'}:/usr/local/bin:/usr/bin:/bin"
    shell = ["/bin/sh", "-c", SCRIPTS[name]]
    return subprocess.run(shell, cwd=folder, env={"PATH": path}, timeout=TIMEOUT_S, check=False).returncode
