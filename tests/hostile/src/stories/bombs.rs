//! Components that are small to send and dear to compile.

use reqwest::Method;
use tests_harness::HostBuilder;

use crate::scene::Scene;

/// Unsigned LEB128, as wasm writes numbers.
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn with_length(bytes: &[u8]) -> Vec<u8> {
    [leb(bytes.len()), bytes.to_vec()].concat()
}

fn section(id: u8, bytes: &[u8]) -> Vec<u8> {
    [vec![id], with_length(bytes)].concat()
}

/// A web server, as far as its names tell, whose module has one more function:
/// `i32 -> i32` with this body. It gets as far as the compiler and no further.
fn server_with(body: &[u8]) -> Vec<u8> {
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, b"\x02\x60\0\0\x60\x01\x7f\x01\x7f"), // types: () -> (), i32 -> i32
        section(3, b"\x02\0\x01"),                       // functions
        section(7, b"\x01\x06handle\0\0"),               // the first is `handle`
        section(10, &[b"\x02\x02\0\x0b", with_length(body).as_slice()].concat()),
    ];
    let manifest = "name = \"bomb/server\"\nversion = \"0.1.0\"\nworld = \"http-proxy\"\n";
    let shell = format!(
        "(component
            (@custom \"wharf:manifest\" {manifest:?})
            (core module (func (export \"handle\")))
            (core instance $i (instantiate 0))
            (func $handle (canon lift (core func $i \"handle\")))
            (instance $served (export \"handle\" (func $handle)))
            (export \"wasi:http/incoming-handler@0.2.0\" (instance $served)))"
    );
    let shell = wat::parse_str(shell).unwrap();
    let harmless = wat::parse_str("(module (func (export \"handle\")))").unwrap();
    let (was, is) = (section(1, &harmless), section(1, &module.concat()));
    let place = shell.windows(was.len()).position(|window| window == was).expect("the module is in there");
    [&shell[..place], &is, &shell[place + was.len()..]].concat()
}

/// One table of jumps with very many ways out of as many blocks.
fn jumps(ways: usize) -> Vec<u8> {
    let mut body = [b"\0".to_vec(), b"\x02\x40".repeat(100), b"\x20\0\x0e".to_vec(), leb(ways)].concat();
    body.extend((0..ways).map(|way| (way % 100) as u8));
    body.extend(b"\0");
    body.extend(b"\x0b".repeat(100));
    body.extend(b"\x20\0\x0b");
    body
}

/// A function that is long and does little.
fn giant(steps: usize) -> Vec<u8> {
    [b"\0\x20\0".to_vec(), b"\x41\x01\x6a".repeat(steps), b"\x0b".to_vec()].concat()
}

/// Blocks inside each other.
fn nested(depth: usize) -> Vec<u8> {
    [b"\0".to_vec(), b"\x02\x40".repeat(depth), b"\x0b".repeat(depth), b"\x20\0\x0b".to_vec()].concat()
}

/// Loops inside each other, each with a say about all of many variables: the
/// compiler keeps each variable for each loop.
fn tangled(variables: usize, loops: usize) -> Vec<u8> {
    let mut body = [b"\x01".to_vec(), leb(variables), b"\x7f".to_vec()].concat();
    for number in 0..loops {
        body.extend(b"\x03\x40\x20");
        body.extend(leb(1 + number % variables));
        body.extend(b"\x20\0\x6a\x22");
        body.extend(leb(1 + number * 7 % variables));
        body.extend(b"\x0d\0");
    }
    body.extend(b"\x0b".repeat(loops));
    body.extend(b"\x20\0\x0b");
    body
}

#[tokio::test]
async fn a_bomb_for_the_compiler_costs_its_own_upload_only() {
    let scene = Scene::empty(HostBuilder::default()).await;
    for (what, bomb, why) in [
        ("no bomb", nested(1), "cannot be instantiated"),
        ("deep blocks", nested(20_000), "cannot be instantiated"),
        ("a table of jumps", jumps(20_000), "cannot be instantiated"),
        ("a giant function", giant(50_000), "cannot be instantiated"),
        // Some 300 KB that want more memory than a compiler may have.
        ("many variables in many loops", tangled(49_000, 20_000), "compiling took more than"),
    ] {
        let bomb = server_with(&bomb);
        assert!(bomb.len() < 1 << 20, "{what} is small: {}", bomb.len());
        let answer = scene.beside(scene.host.operate(Method::POST, "/packages", bomb)).await;
        assert_eq!((answer.status, answer.code().as_str()), (422, "invalid"), "{what}: {answer:?}");
        assert!(answer.text.contains(why), "{what}: {answer:?}");
    }
    assert_eq!(scene.host.published().await, ["probe/echo@0.1.0"]);
}

#[tokio::test]
async fn thousands_of_types_and_a_manifest_larger_than_its_component_are_refused_with_their_bound() {
    let scene = Scene::empty(HostBuilder::default()).await;
    let types: String = (0..50_000).map(|n| format!("(type $t{n} (record (field \"f{n}\" u32)))")).collect();
    let summary = format!("name = \"bomb/words\"\nsummary = \"{}\"\n", "x".repeat(4 << 20));
    let keys: String =
        (0..100_000).map(|n| format!("[endpoints.e{n}]\ndirection = \"outbound\"\n")).collect();
    let deep = format!("a = {}{}\n", "[".repeat(100_000), "]".repeat(100_000));
    let with = |manifest: &str| {
        [
            wat::parse_str("(component)").unwrap(),
            section(0, &[b"\x0ewharf:manifest", manifest.as_bytes()].concat()),
        ]
        .concat()
    };
    for (what, bytes) in [
        ("types", wat::parse_str(format!("(component {types})")).unwrap()),
        ("a long word", with(&summary)),
        ("many endpoints", with(&keys)),
        ("lists in lists", with(&deep)),
        ("no text", with("\u{0}\u{0}\u{0}")),
    ] {
        let answer = scene.beside(scene.host.operate(Method::POST, "/packages", bytes)).await;
        assert_eq!(answer.status, 422, "{what}: {answer:?}");
        assert!(answer.text.len() < 5_000, "{what} is not told at length: {}", answer.text.len());
    }
    assert_eq!(scene.host.published().await, ["probe/echo@0.1.0"]);
}

#[tokio::test]
async fn a_describe_that_never_ends_costs_its_own_upload_only() {
    let scene = Scene::empty(HostBuilder::default()).await;
    let bytes = std::fs::read(tests_harness::probe("loop-in-describe")).unwrap();
    let answer = scene.beside(scene.host.operate(Method::POST, "/packages", bytes)).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(answer.text.contains("`describe` did not answer"), "{answer:?}");
}

#[tokio::test]
async fn a_describe_that_gives_too_much_costs_its_own_upload_only() {
    let scene = Scene::empty(HostBuilder::default()).await;
    for probe in ["huge-describe", "huge-describe-name"] {
        let bytes = std::fs::read(tests_harness::probe(probe)).unwrap();
        let answer = scene.beside(scene.host.operate(Method::POST, "/packages", bytes)).await.expect(422);
        assert!(
            answer.text.contains("`describe` did not answer: it passed its bound"),
            "{probe}: {answer:?}"
        );
        assert!(answer.text.len() < 1_000, "{probe}: {}", answer.text.len());
    }
    assert_eq!(scene.host.published().await, ["probe/echo@0.1.0"], "only the bystander's");
}
