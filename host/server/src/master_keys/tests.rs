//! Keys from each source, and what a source that fails says.

use std::process::Command;

use host_store::MemoryStore;
use secrecy::SecretString;

use super::*;

const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn sources(text: &str, data: &Path) -> anyhow::Result<KeySources> {
    toml::from_str::<SecretsFile>(text)?.resolve(data)
}

async fn failure(text: &str) -> String {
    let sources = sources(text, Path::new("/nowhere")).unwrap();
    format!("{:#}", sources.load_or_create().await.unwrap_err())
}

fn script(folder: &Path, lines: &str) -> String {
    let path = folder.join("key.sh");
    // By another process: were it open for writing here, a child that another
    // test starts meanwhile would hold it, and nobody could run it.
    let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0\" && chmod 700 \"$0\"";
    let written = Command::new("/bin/sh").args(["-c", write]).arg(&path).arg(lines).status().unwrap();
    assert!(written.success());
    path.display().to_string()
}

#[tokio::test]
async fn a_key_comes_from_a_file_by_default_and_is_made_once() {
    let data = tempfile::tempdir().unwrap();
    let sources = sources("", data.path()).unwrap();
    assert!(sources.find().await.unwrap().is_none(), "looking makes none");
    let made = sources.load_or_create().await.unwrap().current.id();
    assert_eq!(sources.find().await.unwrap().unwrap().current.id(), made);
    assert!(data.path().join("master.key").exists());
}

#[tokio::test]
async fn a_command_gives_the_key_and_sees_nothing_of_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    // CARGO is set wherever these tests run; HOME is passed by name.
    let program = script(
        folder.path(),
        &format!("[ -z \"$CARGO\" ] || exit 1\n[ -n \"$HOME\" ] || exit 2\n[ \"$1\" = now ] && echo {HEX}"),
    );
    let text = format!("master-key = {{ command = ['{program}', 'now'], pass-env = ['HOME'] }}");
    let keys = sources(&text, folder.path()).unwrap().load_or_create().await.unwrap();
    assert_eq!(keys.current.id(), MasterKey::read(HEX.as_bytes()).unwrap().id());

    let without = format!("master-key = {{ command = ['{program}', 'now'] }}");
    let error = failure(&without).await;
    assert!(error.contains("it ended with exit status: 2") && error.contains("run it by hand"), "{error}");
}

#[tokio::test]
async fn a_command_that_fails_is_named_and_what_it_printed_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    for (lines, want) in [
        ("echo hunter22 >&2; exit 3", "it ended with exit status: 3"),
        ("echo hunter22", "it is not 32 bytes"),
        ("yes hunter22", "it prints more than 256 bytes"),
    ] {
        let program = script(folder.path(), lines);
        let error = failure(&format!("master-key = {{ command = ['{program}'] }}")).await;
        assert!(error.contains(want) && error.contains(&program), "{error}");
        assert!(!error.contains("hunter22"), "{error}");
    }
    let error = failure("master-key = { command = ['/no/such/program'] }").await;
    assert!(error.contains("/no/such/program"), "{error}");
}

#[tokio::test]
async fn a_command_that_hangs_is_given_up() {
    let within = Duration::from_millis(20);
    let error = ask("/bin/sleep", &["600".to_owned()], &[], within).await.unwrap_err().to_string();
    assert_eq!(error, "it did not end within 20 ms");
}

#[tokio::test]
async fn an_environment_without_the_key_says_so() {
    let error = failure("master-key = { env = 'WHARF_NO_SUCH_KEY' }").await;
    assert!(error.contains("WHARF_NO_SUCH_KEY"), "{error}");
}

#[test]
fn a_key_comes_from_exactly_one_place() {
    for bad in [
        "master-key = {}",
        "master-key = { file = 'a', env = 'b' }",
        "master-key = { file = 'a', pass-env = ['b'] }",
        "older = [{ command = [] }]",
    ] {
        assert!(sources(bad, Path::new("/")).is_err(), "{bad}");
    }
    assert!(sources("mastr-key = {}", Path::new("/")).unwrap_err().to_string().contains("mastr-key"));
}

fn rotation(data: &Path, config: Option<PathBuf>, vault: Arc<Vault>) -> KeyRotation {
    KeyRotation { vault, data: data.to_owned(), config, turn: Mutex::default() }
}

async fn filled(keys: MasterKeys) -> (Arc<MemoryStore>, Arc<Vault>) {
    let store = Arc::new(MemoryStore::new());
    let vault = Arc::new(Vault::new(store.clone(), keys));
    let value = SecretString::from("hunter22");
    vault.set(&"acme".parse().unwrap(), &"key".parse().unwrap(), value).await.unwrap();
    (store, vault)
}

#[tokio::test]
async fn a_key_in_a_file_is_replaced_and_the_next_start_finds_both() {
    let data = tempfile::tempdir().unwrap();
    let sources = sources("", data.path()).unwrap();
    let (store, vault) = filled(sources.load_or_create().await.unwrap()).await;
    let before = vault.current_master_key();
    let rotated = rotation(data.path(), None, vault).rotate_master().await.unwrap();
    assert_eq!(rotated.changed, 1);

    let next = sources.load_or_create().await.unwrap();
    assert_eq!((next.current.id().to_string(), next.older[0].id()), (rotated.master_key, before));
    let (lines, wrong) = say(&Vault::new(store.clone(), next).key_report().await.unwrap());
    assert_eq!((lines.len(), wrong), (1, None), "nothing is under the older one");

    let stray = Vault::new(store, MasterKey::generate().unwrap()).key_report().await.unwrap();
    assert!(say(&stray).1.unwrap().contains("restore the master key"));
}

#[tokio::test]
async fn a_key_from_elsewhere_is_taken_up_when_the_config_names_it_and_the_one_before() {
    let data = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let path = data.path().join(name);
        MasterKey::load_or_create(&path).unwrap();
        path.display().to_string()
    };
    let (old, new) = (file("old.key"), file("new.key"));
    let print = |path: &str| format!("{{ command = ['/bin/cat', '{path}'] }}");
    let config = data.path().join("wharf.toml");
    let write = |text: &str| std::fs::write(&config, text).unwrap();

    write(&format!("[secrets]\nmaster-key = {}\n", print(&old)));
    let keys = crate::config::key_sources(data.path(), Some(&config)).unwrap().load().await.unwrap();
    let (_, vault) = filled(keys).await;
    let rotation = rotation(data.path(), Some(config.clone()), Arc::clone(&vault));
    let same = format!("{:#}", rotation.rotate_master().await.unwrap_err());
    assert!(same.contains("still gives the key in use"), "{same}");

    write(&format!("[secrets]\nmaster-key = {}\n", print(&new)));
    let lost = format!("{:#}", rotation.rotate_master().await.unwrap_err());
    assert!(lost.contains("under `older`"), "{lost}");

    write(&format!("[secrets]\nmaster-key = {}\nolder = [{}]\n", print(&new), print(&old)));
    let rotated = rotation.rotate_master().await.unwrap();
    assert_eq!((rotated.changed, rotated.master_key), (1, vault.current_master_key().to_string()));
}
