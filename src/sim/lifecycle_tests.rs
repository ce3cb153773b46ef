use crate::storage::fs::FileSystem as _;

use super::super::{Fault, Server};
use super::*;

/// What is found when this is done to a server whose disk works.
fn found(deed: impl AsyncFnOnce(&World, &Server)) -> Result<(), Failure> {
    let world = World::new(11);
    let server = world.server(1);
    let ran = world.run(async {
        world.leader().await;
        deed(&world, &server).await;
        world.sleep(std::time::Duration::from_millis(10)).await;
        assert!(!server.is_running());
    });
    world.end();
    ran
}

#[track_caller]
fn expect_violation(found: Result<(), Failure>) {
    assert!(matches!(found, Err(Failure::Violated { invariant: "NodeRuns", .. })), "{found:?}");
}

#[test]
fn a_server_that_was_asked_to_stop_may() {
    assert_eq!(found(async |_, server| server.node().unwrap().shutdown()), Ok(()));
}

#[test]
fn a_server_that_stops_with_an_error_that_is_not_its_disks_is_found() {
    expect_violation(found(async |world, server| world.network().close(server.id())));
}

#[test]
fn a_server_that_does_not_open_its_disk_though_nothing_was_done_to_it_is_found() {
    expect_violation(found(async |world, server| {
        server.crash();
        let disk = world.with_machine(server.id(), |machine| machine.disk.clone()).unwrap();
        let _other_process = disk.lock("lock").unwrap();
        server.restart();
    }));
}

#[test]
fn a_power_cut_that_waits_for_the_disk_does_not_come_when_that_was_repaired_though_it_failed_before() {
    let world = World::new(11);
    let server = world.server(1);
    let ran = world.run(async {
        world.leader().await;
        let disk = world.with_machine(server.id(), |machine| machine.disk.clone()).unwrap();
        // Until one is drawn that does not come at once.
        loop {
            server.restart();
            disk.limit(Some(0));
            assert!(disk.create_new("too much").unwrap().write_at(0, b"a").is_err());
            disk.remove("too much").unwrap();
            world.apply(Fault::PowerLoss(server.id()));
            if server.is_running() {
                break;
            }
        }
        world.apply(Fault::RepairDisk(server.id()));
        world.sleep(std::time::Duration::from_millis(200)).await;
        assert!(server.is_running());
    });
    assert_eq!(ran, Ok(()));
    world.end();
}
