#!/usr/bin/env bash
# The demo: a host, two tenants, three outside systems, one real lead through a
# workflow in code, and two that wait for an approval, one in code and one in
# steps of YAML, and survive a `kill -9`; and a stranger's connector that misbehaves.
# Every `$ wharf …` line below is a command that you can run yourself.
set -euo pipefail
cd "$(dirname "$0")/../.."

HOST=http://127.0.0.1:7070
WASM=target/wasm32-unknown-unknown/guest
PATH="$PWD/target/debug:$PATH"
WORK=$(mktemp -d)
export WHARF_SERVER=$HOST
started=()

cleanup() {
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$WORK"
}
trap cleanup EXIT

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() { printf '$ %s\n' "$*"; "$@"; }
fail() {
  echo "demo: $*" >&2
  tail -n 30 "$WORK"/*.log >&2 || true
  exit 1
}
# Waits until a file holds a line that matches.
await() {
  for _ in $(seq 300); do
    grep -q "$2" "$1" 2>/dev/null && return
    sleep 0.1
  done
  fail "waited in vain for \`$2\` in $1"
}

# Starts the host, also once more on the same data.
up() {
  rm -f "$WORK/wharf.out" # not to be taken for the new one
  echo "$ wharf up --data $WORK/data --config tests/demo/host.toml"
  wharf up --data "$WORK/data" --config tests/demo/host.toml >"$WORK/wharf.out" 2>>"$WORK/wharf.log" &
  started[1]=$!
  await "$WORK/wharf.out" 'listening on'
  cat "$WORK/wharf.out"
}
# Waits until a run stands there, for at most so many tenths of a second.
stands() {
  for _ in $(seq "${3:-300}"); do
    shown=$(wharf runs show "$1" --json)
    [[ $shown =~ \"status\":\ *\"$2\" ]] && return
    sleep 0.1
  done
  wharf runs show "$1"
  fail "run $1 is not $2"
}

# Starts a run that asks before it does anything; its id is `run` then.
ask() {
  show wharf run "$1" --async --data "$2" | tee "$WORK/answer"
  run=$(grep -o 'run_[0-9A-Z]*' "$WORK/answer" | head -n 1)
  stands "$run" waiting
  show wharf runs show "$run"
}

say "1. Three outside systems on loopback: a CRM, a mail API, a chat. Each wants its own credential."
upstreams >"$WORK/upstreams.log" 2>&1 &
started[0]=$!
await "$WORK/upstreams.log" '"crm"'
head -n 1 "$WORK/upstreams.log"

say "2. A host with everything embedded."
up
operator=$(sed -n 's/.*operator token: //p' "$WORK/wharf.out")

say "3. The operator admits packages and tenants."
export WHARF_TOKEN=$operator
for package in web_form crm mail chat exchange_rates lead_intake lead_approval http_hello; do
  show wharf publish "$WASM/example_$package.wasm"
done
show wharf tenant create acme
show wharf tenant create globex
acme=$(wharf token create --tenant acme --role admin --note demo --json | sed -n 's/.*"token": *"\([^"]*\)".*/\1/p')
globex=$(wharf token create --tenant globex --role admin --note demo --json | sed -n 's/.*"token": *"\([^"]*\)".*/\1/p')

say "4. Tenant acme stores its credentials and sets up its connections and its workflow."
export WHARF_TOKEN=$acme
printf %s demo-crm-token-4f1a | show wharf secret set crm-key
printf %s demo-mail-key-9c2e | show wharf secret set mail-key
printf %s demo-chat-password-7b3d | show wharf secret set chat-password
show wharf apply -f tests/demo/acme.yaml
for connection in crm mail chat; do show wharf call "$connection" --check; done
WHARF_TOKEN=$globex show wharf apply -f tests/demo/globex.yaml

say "5. A visitor of acme's website sends the inquiry form. The browser's POST:"
post=(curl --silent --show-error --include "$HOST/hooks/acme/website/inquiry"
  --data-urlencode 'name=Ada Lovelace' --data-urlencode 'email=ada@analytical.example'
  --data-urlencode 'company=Analytical Engines' --data-urlencode 'region=EMEA'
  --data-urlencode 'message=Do you ship to London?')
printf '$ %s\n' "${post[*]}"
"${post[@]}" | tee "$WORK/answer" || fail "the webhook did not answer"
echo
run=$(grep -o 'run_[0-9A-Z]*' "$WORK/answer" | head -n 1)
[ -n "$run" ] || fail "the answer names no run"

say "6. What the run did, step by step."
stands "$run" succeeded
show wharf runs show "$run"

say "7. What the outside systems got. Each checked the credential that the host put in."
grep -v '"crm"' "$WORK/upstreams.log"
for system in crm mail chat; do
  grep "$system" "$WORK/upstreams.log" | grep POST | grep -q 'credential right' || fail "$system did not get what it should"
done
grep -qE 'credential (WRONG|MISSING)' "$WORK/upstreams.log" && fail "an outside system saw a wrong credential"

say "8. Another tenant sees nothing of it."
echo "\$ WHARF_TOKEN=\$globex wharf --tenant acme runs show $run"
if WHARF_TOKEN=$globex wharf --tenant acme runs show "$run"; then fail "globex saw acme's run"; fi
show curl --silent --show-error "$HOST/hooks/globex/site/"
echo

say "9. The same intake with an approval first: as steps in YAML, which are checked, then applied ..."
show wharf check tests/demo/lead-approval.yaml
show wharf apply -f tests/demo/lead-approval.yaml
lead='{"name":"Grace Hopper","email":"grace@navy.example","region":"amer","message":"Hello","source":"demo"}'
ask lead-approval "$lead"
steps=$run

say "10. ... and as code: guests/examples/lead-approval, which starts the intake of 4. when somebody says yes."
lead='{"name":"Alan Turing","email":"alan@bletchley.example","region":"emea","message":"Hello","source":"demo"}'
ask lead-approval-code "$lead"
code=$run

say "11. While both wait, the host is killed, and started again on the same data."
show kill -9 "${started[1]}"
wait "${started[1]}" 2>/dev/null || true
up

say "12. Somebody approves: these commands, which the sales channel got too, complete the steps."
for run in "$steps" "$code"; do
  url=$(wharf runs show "$run" --json | grep -o 'http://[^"]*/events/[^"]*' | head -n 1)
  printf "$ curl -d '%s' %s\n" '{"approved":true}' "$url"
  if [ "${ONCE:-}" != 1 ] && [ -t 0 ]; then
    echo "Type it in another terminal. The demo waits."
    stands "$run" succeeded 36000
  else
    curl --silent --show-error --fail -d '{"approved":true}' "$url" || fail "the event was not taken"
    stands "$run" succeeded
  fi
  show wharf runs show "$run"
done
grep -c 'POST /leads .*credential right' "$WORK/upstreams.log" | grep -qx 3 || fail "the CRM should have three leads"

say "13. Tenant globex tries a stranger's connector. It was granted one API and one key, and wants more."
export WHARF_TOKEN=$globex
printf %s demo-rates-key-55e0 | show wharf secret set rates-key
show wharf apply -f tests/demo/stranger.yaml
show wharf call rates rate --data '{"from":"EUR","to":"USD"}' | tee "$WORK/answer"
grep -q 'demo-rates-key' "$WORK/answer" && fail "the guest read its credential"
grep -q 'answered' "$WORK/answer" && fail "the guest reached what it was not granted"
for endpoint in history report; do
  printf '$ wharf call rates %s\n' "$endpoint"
  if wharf call rates "$endpoint" 2>&1; then fail "$endpoint should have been ended"; fi
done
echo "Everybody else is well:"
show curl --silent --show-error --fail "$HOST/hooks/globex/site/"
echo

say "14. What the operator sees of it: the host's log, the tenant's usage, the metrics."
printf '$ grep rates wharf.log | tail -n 4\n'
grep '`rates`' "$WORK/wharf.log" | tail -n 4 | cut -c 1-220
WHARF_TOKEN=$operator show wharf usage --tenant globex
printf '$ curl %s/metrics | grep globex\n' "$HOST"
curl --silent --show-error --header "authorization: Bearer $operator" "$HOST/metrics" | grep globex | head -n 6 || true
WHARF_TOKEN=$operator show wharf delete connection rates --tenant globex
export WHARF_TOKEN=$acme

if [ "${ONCE:-}" = 1 ]; then
  say "Done: three leads, by code and by steps, all in all three systems; two outlived their host, waiting for an approval; a stranger got nothing but its own call ended."
  exit 0
fi

say "It stays up. Try more (Ctrl-C stops everything):"
cat <<MORE
  export WHARF_SERVER=$HOST WHARF_TOKEN=$acme
  curl -i $HOST/hooks/acme/website/inquiry -H 'content-type: application/json' -H 'prefer: wait=10' \\
       -d '{"name":"Grace","email":"grace@navy.example","region":"amer","message":"Hello"}'
  curl -i $HOST/hooks/acme/website/inquiry -F name=Alan -F email=alan@bletchley.example -F region=emea -F message=Hi
  wharf runs list
  wharf run lead-intake --wait 10 --data '{"name":"Joan","email":"joan@bletchley.example","region":"emea","message":"By hand","source":"cli"}'
  wharf call chat post --data '{"channel":"sales-emea","text":"hello"}'
  wharf get connections

  outside systems  http://127.0.0.1:9101/received  http://127.0.0.1:9102/received  http://127.0.0.1:9103/received
  API              $HOST/api/v1/openapi.json
  operator token   $operator
MORE
wait "${started[1]}"
