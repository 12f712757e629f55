//! The journal as another program finds it, and what is done about one that cannot be believed.

use std::{os::unix::fs::PermissionsExt as _, time::Duration};

use super::*;
use crate::chaos::{FaultMetadata, Metadata, Signal};

fn injection(number: u32) -> Injection {
    let fault = FaultMetadata::NodeKill { target_container: "tikv0".into(), signal: Signal::Kill };
    Injection {
        state: Life::Planned,
        metadata: Metadata {
            fault,
            id: InjectionId::from_number(number),
            container_id: "c".into(),
            container_started_at: String::new(),
            daemon_id: None,
            group: None,
            holder_image: None,
            before: None,
            task: None,
        },
        undo: vec!["docker start tikv0".into()],
        created_at: Timestamp::now(),
        deadline: None,
        deadline_since_boot_ms: None,
        left: false,
        former: None,
        measured: None,
        note: None,
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(&folder.path().join("state"));
    (folder, store)
}

#[test]
fn what_is_recorded_is_read_by_another_and_private() {
    let (_folder, store) = store();
    store.record("inject", vec![injection(1)]).unwrap();
    let other = Store::at(store.folder.parent().unwrap());
    let loaded = other.load().unwrap();
    assert_eq!(loaded.sessions.len(), 1);
    assert!(loaded.sessions[0].alive && !loaded.sessions[0].mine);
    assert_eq!(loaded.open()[0].1.metadata.id, InjectionId::from_number(1));
    for path in store.files().unwrap() {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_session_whose_program_is_gone_is_dead_and_keeps_what_is_open() {
    let (_folder, store) = store();
    store.record("inject", vec![injection(1)]).unwrap();
    store.end().unwrap();
    let loaded = store.load().unwrap();
    assert_eq!(loaded.sessions.len(), 1);
    assert!(!loaded.sessions[0].alive);
    store.update(&InjectionId::from_number(1), Durability::Synced, to(Life::Clean)).unwrap();
    store.prune().unwrap();
    assert_eq!(store.load().unwrap(), Loaded::default());
    let left: Vec<_> = fs::read_dir(&store.folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["journal.lock"]);
}

#[test]
fn an_ended_session_is_laid_aside_with_who_did_what_when() {
    let (_folder, store) = store();
    let store = store.doing("tui");
    store.record("tui", vec![injection(1)]).unwrap();
    store.note_throughput(200, None);
    let other = Store::at(store.folder.parent().unwrap()).doing("revert");
    other.update(&InjectionId::from_number(1), Durability::Visible, to(Life::Active)).unwrap();
    other.update(&InjectionId::from_number(1), Durability::Synced, to(Life::Clean)).unwrap();
    store.end().unwrap();
    let ended = store.ended();
    assert_eq!(ended.len(), 1);
    assert_eq!(fs::metadata(&ended[0]).unwrap().permissions().mode() & 0o777, 0o600);
    let file = read(&ended[0]).unwrap();
    let steps: Vec<_> = file.history.changes.iter().map(|one| (one.state, one.command.as_str())).collect();
    assert_eq!(steps, [(Life::Planned, "tui"), (Life::Active, "revert"), (Life::Clean, "revert")]);
    assert_eq!(file.history.throughput[0].ops_per_s, 200);
    assert!(file.history.who.is_some_and(|who| !who.user.is_empty()));
}

#[test]
fn of_ended_sessions_the_newest_fifty_are_kept_and_none_for_longer_than_thirty_days() {
    use super::super::ended::{DAYS, MOST};
    let (_folder, store) = store();
    store.make_folder().unwrap();
    fs::create_dir_all(store.ended_folder()).unwrap();
    for number in 0..MOST + 5 {
        fs::write(store.ended_folder().join(format!("{number:03}.json")), "{}").unwrap();
    }
    store.prune().unwrap();
    let ended = store.ended();
    assert_eq!((ended.len(), ended[0].file_name().unwrap()), (MOST, "005.json".as_ref()));
    let long_ago = std::time::SystemTime::now() - Duration::from_secs((DAYS * 24 + 1) * 3600);
    File::options().write(true).open(&ended[MOST - 1]).unwrap().set_modified(long_ago).unwrap();
    store.prune().unwrap();
    assert_eq!(store.ended().len(), MOST - 1);
}

#[test]
fn another_program_may_write_that_it_reverted_ours() {
    let (_folder, store) = store();
    store.record("tui", vec![injection(1)]).unwrap();
    store.record("tui", vec![injection(2)]).unwrap();
    let other = Store::at(store.folder.parent().unwrap());
    other.update(&InjectionId::from_number(1), Durability::Visible, to(Life::Clean)).unwrap();
    let open: Vec<_> = store.load().unwrap().open().iter().map(|(_, one)| one.metadata.id.to_string()).collect();
    assert_eq!(open, ["00000002"]);
    assert_eq!(other.update(&InjectionId::from_number(9), Durability::Visible, to(Life::Clean)).unwrap(), None);
}

#[test]
fn an_unreadable_file_is_named_kept_and_stops_nobody() {
    let (_folder, store) = store();
    store.record("tui", vec![injection(1)]).unwrap();
    let cases = [("cut.json", "{\"schema\": 1, \"sess"), ("newer.json", "{\"schema\": 99}"), ("notes.json", "[1]")];
    for (name, text) in cases {
        fs::write(store.folder.join(name), text).unwrap();
    }
    let loaded = store.load().unwrap();
    assert_eq!(loaded.sessions.len(), 1);
    assert_eq!(loaded.unreadable.len(), 3);
    assert!(loaded.unreadable.iter().any(|one| one.reason.contains("schema is 99")));
    store.update(&InjectionId::from_number(1), Durability::Synced, to(Life::Clean)).unwrap();
    store.end().unwrap();
    assert_eq!(store.load().unwrap().unreadable.len(), 3);
}

#[test]
fn a_journal_cut_anywhere_is_never_taken_for_a_whole_one() {
    let (_folder, store) = store();
    store.record("tui", vec![injection(1)]).unwrap();
    let path = store.files().unwrap().remove(0);
    let text = fs::read_to_string(&path).unwrap();
    for end in 0..text.trim_end().len() {
        fs::write(&path, &text[..end]).unwrap();
        let loaded = store.load().unwrap();
        assert_eq!((loaded.sessions.len(), loaded.unreadable.len()), (0, 1), "cut at {end}");
    }
    fs::write(&path, text.trim_end()).unwrap();
    assert_eq!(store.load().unwrap().open().len(), 1);
}

#[test]
fn a_journal_that_others_can_write_or_own_is_refused_with_a_sentence() {
    let (_folder, store) = store();
    store.record("tui", vec![injection(1)]).unwrap();
    let path = store.files().unwrap().remove(0);
    let mode = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&path, 0o620);
    let loaded = store.load().unwrap();
    assert!(loaded.sessions.is_empty());
    assert!(loaded.unreadable[0].reason.contains("others can write it (mode 620)"), "{loaded:?}");
    mode(&path, 0o600);
    mode(&store.folder, 0o702);
    let error = store.load().unwrap_err().to_string();
    assert!(error.contains("others can write it (mode 702)"), "{error}");
    assert!(store.record("tui", vec![injection(2)]).is_err());
    mode(&store.folder, 0o700);
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(1), None).unwrap();
        let loaded = store.load().unwrap();
        assert!(loaded.unreadable[0].reason.contains("it belongs to user 1"), "{loaded:?}");
    }
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
    assert_eq!(store.load().unwrap().unreadable.len(), 1);
}

#[test]
fn what_a_journal_says_of_itself_is_not_believed() {
    let (_folder, store) = store();
    let mut tampered = injection(1);
    tampered.undo = vec!["rm -rf /".into()];
    tampered.note = Some("fine\u{1b}[2J".into());
    tampered.metadata.holder_image = Some("evil/image:1".into());
    store.record("tui", vec![tampered]).unwrap();
    let one = store.load().unwrap().sessions.remove(0).file.injections.remove(0);
    assert_eq!(one.undo, ["docker start c"]);
    assert_eq!(one.note.as_deref(), Some("fine\u{fffd}[2J"));
    assert_eq!(one.metadata.holder_image, None);
    let told = store.clone().trusting(Some("evil/image:1".into()));
    let one = told.load().unwrap().sessions.remove(0).file.injections.remove(0);
    assert_eq!(one.metadata.holder_image.as_deref(), Some("evil/image:1"));

    let mut bad = injection(2);
    bad.metadata.container_id = "../../images".into();
    store.record("tui", vec![bad]).unwrap();
    let loaded = store.load().unwrap();
    assert!(loaded.unreadable[0].reason.contains("00000002: a container's id cannot be"), "{loaded:?}");
}

#[test]
fn several_are_written_down_all_or_none() {
    let (_folder, store) = store();
    store.record("inject", vec![injection(1), injection(2)]).unwrap();
    assert!(store.record("inject", vec![injection(3), injection(2)]).is_err());
    assert_eq!(store.load().unwrap().open().len(), 2);
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_that_names_it() {
    let store = Store::at(Path::new("/proc/nowhere"));
    let error = store.record("inject", vec![injection(1)]).unwrap_err().to_string();
    assert!(error.contains("/proc/nowhere/sessions"), "{error}");
}
