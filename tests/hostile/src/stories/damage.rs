//! A damaged store: refused with advice, then brought back from a backup.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Output};

use tests_harness::LeadIntake;

fn wharf(arguments: &[&str], data: &Path) -> Output {
    Command::new(tests_harness::wharf()).args(arguments).arg("--data").arg(data).output().unwrap()
}

/// Standard output and standard error together.
fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn a_damaged_store_is_refused_with_advice_and_comes_back_from_its_backup() {
    let mut intake = LeadIntake::start().await;
    let run = LeadIntake::run_of(&intake.visitor("Ada").await.expect(202));
    let before = intake.acme().ended(&run).await;
    assert_eq!(intake.host.terminate().await, Some(0));

    let data = intake.host.folder().join("data");
    let backup = intake.host.folder().join("backup").display().to_string();
    let kept = wharf(&["doctor", "--backup", &backup], &data);
    assert!(kept.status.success(), "{}", said(&kept));

    let mut db = std::fs::File::options().write(true).open(data.join("store/db")).unwrap();
    let length = db.metadata().unwrap().len();
    db.seek(SeekFrom::Start(0)).unwrap();
    db.write_all(&vec![0xa5; length.min(1 << 20) as usize]).unwrap();
    drop(db);

    let refused = wharf(&["up", "--listen", "127.0.0.1:0"], &data);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    for part in ["damaged", "wharf doctor", &data.join("store").display().to_string()] {
        assert!(said(&refused).contains(part), "`{part}` is not in: {}", said(&refused));
    }
    let examined = wharf(&["doctor"], &data);
    assert!(!examined.status.success() && said(&examined).contains("damaged"), "{}", said(&examined));

    let restored = wharf(&["doctor", "--restore", &backup], &data);
    assert!(restored.status.success(), "{}", said(&restored));
    intake.host.restart();
    assert_eq!(intake.acme().run(&run).await, before, "the run is as it was, steps and all");
    let again = LeadIntake::run_of(&intake.visitor("Grace").await.expect(202));
    assert_eq!(intake.acme().ended(&again).await["run"]["status"], "succeeded");
}

#[tokio::test]
async fn a_backup_that_is_not_whole_costs_the_store_nothing() {
    let mut intake = LeadIntake::start().await;
    let run = LeadIntake::run_of(&intake.visitor("Ada").await.expect(202));
    let before = intake.acme().ended(&run).await;
    assert_eq!(intake.host.terminate().await, Some(0));
    let data = intake.host.folder().join("data");
    let backup = intake.host.folder().join("backup");
    let path = backup.display().to_string();
    assert!(wharf(&["doctor", "--backup", &path], &data).status.success());

    let whole = std::fs::read(&backup).unwrap();
    for (how, bytes) in
        [("cut short", &whole[..whole.len() / 2]), ("not a backup", b"hello".as_slice()), ("empty", b"")]
    {
        std::fs::write(&backup, bytes).unwrap();
        let refused = wharf(&["doctor", "--restore", &path], &data);
        assert!(!refused.status.success(), "{how}: {}", said(&refused));
    }
    intake.host.restart();
    assert_eq!(intake.acme().run(&run).await, before);

    // After the refusals a good one still goes in.
    assert_eq!(intake.host.terminate().await, Some(0));
    std::fs::write(&backup, &whole).unwrap();
    let restored = wharf(&["doctor", "--restore", &path], &data);
    assert!(restored.status.success(), "{}", said(&restored));
    intake.host.restart();
    assert_eq!(intake.acme().run(&run).await, before);
}
