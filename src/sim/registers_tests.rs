use super::*;

/// A record of these calls, one after the other, of one register each.
fn recorded(calls: &[(u64, Operation, Answer)]) -> Registers {
    let registers = Registers::default();
    for (register, operation, answer) in calls {
        let place = registers.called(*register, *operation).unwrap();
        registers.returned(*register, place, Some(*answer));
    }
    registers
}

#[test]
fn a_register_whose_history_no_order_explains_is_named() {
    let created = |register| (register, Operation::Create(7), Answer::At(0));
    let shown = |register, value| (register, Operation::Read, Answer::Shows { value, version: 0 });
    let sound = recorded(&[created(0), created(1), shown(1, 7), shown(0, 7)]);
    assert_eq!(sound.judge(), Ok(RegisterCounters { linearized: 4, undecided: 0 }));
    let found = recorded(&[created(0), created(1), shown(1, 8), shown(0, 7)]).judge().unwrap_err();
    assert!(found.contains("/register-1:"), "{found}");
}

/// How a world is judged whose client uses the registers, while another that is not recorded does as `other` says.
fn judged(other: impl AsyncFn(&Client)) -> Result<RegisterCounters, Failure> {
    let world = World::new(11);
    let (client, stranger) = (world.client(), world.client());
    let rng = &mut SeededRng::from_number(11);
    let ran = world.run(async {
        for _ in 0..2 {
            for _ in 0..20 {
                world.inner().registers.operate(&client, rng).await.unwrap();
            }
            other(&stranger).await;
        }
    });
    let judged = ran.and_then(|()| world.judge_registers());
    world.end();
    judged
}

#[test]
fn what_the_quorum_does_with_registers_is_linearizable() {
    let found = judged(async |_| {});
    assert_eq!(found, Ok(RegisterCounters { linearized: 40, undecided: 0 }));
}

#[test]
fn a_register_that_shows_what_nobody_has_written_is_found() {
    let found = judged(async |stranger| {
        for register in 0..REGISTERS {
            let path = format!("/register-{register}");
            if stranger.create(path.as_str(), "1").await.is_err() {
                stranger.set(path, "1").await.unwrap();
            }
        }
    });
    assert!(matches!(found, Err(Failure::Violated { invariant: "Linearizable", .. })), "{found:?}");
}
