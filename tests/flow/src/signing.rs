//! A publisher's signature, from minisign's file to the list of packages and the doctor.

use tests_harness::{Host, Publisher, probe};

use crate::cli::User;

#[tokio::test]
async fn a_publisher_signs_and_the_operator_sees_whose_packages_there_are() {
    let mut host = Host::start().await;
    let publisher = Publisher::default();
    let key = publisher.key();
    let files = |name: &str| {
        let wasm = std::fs::read(probe(name)).unwrap();
        std::fs::write(host.folder().join(format!("{name}.wasm")), &wasm).unwrap();
        std::fs::write(host.folder().join(format!("{name}.minisig")), publisher.signs(&wasm)).unwrap();
    };
    files("echo");
    files("kv");
    let user = User::of(&host, host.operator());
    assert!(host.log().contains("packages are not checked for who made them"), "{}", host.log());
    let unchecked = user.types(&["publish", "echo.wasm", "--signature", "echo.minisig"]).await.exit(0);
    assert!(unchecked.out.contains("published") && unchecked.out.contains("not checked"), "{unchecked:?}");

    host.configure(&format!("[packages]\ntrusted-keys = [\"{key}\"]"));
    host.restart();
    let user = User::of(&host, host.operator());
    let unsigned = user.types(&["publish", "kv.wasm"]).await.exit(3);
    assert!(
        unsigned.err.contains("minisign -Sm FILE") && unsigned.err.contains("--signature"),
        "{unsigned:?}"
    );
    let signed = user.types(&["publish", "kv.wasm", "--signature", "kv.minisig"]).await.exit(0);
    assert!(signed.out.contains(&format!("signed by {key}")), "{signed:?}");
    let listed = user.types(&["packages"]).await.exit(0).out;
    let line = |package: &str| listed.lines().find(|line| line.contains(package)).unwrap().to_owned();
    assert!(line("probe/kv@").contains(&key[..16]) && !line("probe/echo@").contains(&key[..16]), "{listed}");

    host.kill();
    let doctor = ["doctor", "--data", "data", "--config", "wharf.toml"];
    let told = user.types(&doctor).await.exit(0).out;
    assert!(told.contains("warning: package probe/echo@0.1.0 is not signed"), "{told}");
    assert!(!told.contains("probe/kv") && !told.contains("package wharf/"), "{told}");
    let told = user.types(&doctor[..3]).await.exit(0).out;
    assert!(told.contains("warning: packages are not checked for who made them"), "{told}");

    // The same bytes again, with the signature that they lacked.
    host.restart();
    let user = User::of(&host, host.operator());
    let again = user.types(&["publish", "echo.wasm", "--signature", "echo.minisig"]).await.exit(0);
    assert!(again.out.contains("unchanged") && again.out.contains(&key), "{again:?}");
    host.kill();
    let told = user.types(&doctor).await.exit(0).out;
    assert!(!told.contains("is not signed"), "{told}");
}
