use std::time::Duration;

use crate::storage::RecoveryPolicy;
use crate::types::Time;

use super::super::disk::Loss;
use super::super::{Latency, Rate};
use super::Case;
use super::words::{span, span_word, time};

/// One number of a case that has a usual value.
pub(super) enum Field<'a> {
    Large(&'a mut u64),
    Middle(&'a mut u32),
    Size(&'a mut usize),
    Span(&'a mut Duration),
    Moment(&'a mut Time),
    Chance(&'a mut Rate),
    Flag(&'a mut bool),
    Loses(&'a mut Loss),
    Recovers(&'a mut RecoveryPolicy),
}

impl Field<'_> {
    pub(super) fn show(&self) -> String {
        match self {
            Self::Large(number) => number.to_string(),
            Self::Middle(number) => number.to_string(),
            Self::Size(number) => number.to_string(),
            Self::Span(duration) => span_word(**duration),
            Self::Moment(moment) => moment.to_string(),
            Self::Chance(rate) => rate.count().to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::Loses(loss) => format!("{loss:?}"),
            Self::Recovers(policy) => format!("{policy:?}"),
        }
    }

    pub(super) fn set(self, value: &str) -> Result<(), String> {
        let wrong = || format!("`{value}` does not fit");
        match self {
            Self::Large(number) => *number = value.parse().map_err(|_| wrong())?,
            Self::Middle(number) => *number = value.parse().map_err(|_| wrong())?,
            Self::Size(number) => *number = value.parse().map_err(|_| wrong())?,
            Self::Span(duration) => *duration = span(value)?,
            Self::Moment(moment) => *moment = time(value)?,
            Self::Chance(rate) => *rate = Rate::millionths(value.parse().map_err(|_| wrong())?),
            Self::Flag(flag) => *flag = value.parse().map_err(|_| wrong())?,
            Self::Loses(loss) => {
                *loss = [Loss::Ordered, Loss::Adversarial]
                    .into_iter()
                    .find(|loss| format!("{loss:?}") == value)
                    .ok_or_else(wrong)?;
            }
            Self::Recovers(policy) => {
                *policy = [RecoveryPolicy::Strict, RecoveryPolicy::Resynchronise]
                    .into_iter()
                    .find(|policy| format!("{policy:?}") == value)
                    .ok_or_else(wrong)?;
            }
        }
        Ok(())
    }
}

/// All numbers of a case that have a usual value, by name. What is drawn from a seed and is not in here is lost when a case is
/// written down; a test draws cases and compares.
pub(super) fn fields(case: &mut Case) -> Vec<(&'static str, Field<'_>)> {
    use Field::{Chance, Flag, Large, Loses, Middle, Moment, Recovers, Size, Span};
    let Case { config, workload, clients, until, work_until, lively, idle, .. } = case;
    let mut fields = vec![
        ("voters", Large(&mut config.voters)),
        ("observers", Large(&mut config.observers)),
        ("clients", Large(clients)),
        ("until", Moment(until)),
        ("work_until", Moment(work_until)),
        ("lively", Span(lively)),
        ("idle", Span(idle)),
        ("shuffle", Flag(&mut config.shuffle)),
        ("time_limit", Span(&mut config.time_limit)),
        ("workload.pause", Span(&mut workload.pause)),
        ("workload.session_timeout", Span(&mut workload.session_timeout)),
        ("workload.pipeline", Large(&mut workload.pipeline)),
        ("workload.data_len", Large(&mut workload.data_len)),
        ("workload.steps", Large(&mut workload.steps)),
        ("workload.registers", Large(&mut workload.registers)),
        ("workload.quotas", Flag(&mut workload.quotas)),
        ("workload.huge", Flag(&mut workload.huge)),
        ("workload.crowd", Large(&mut workload.crowd)),
        ("files.loss", Loses(&mut config.files.loss)),
        ("files.recovery", Recovers(&mut config.files.recovery)),
        ("files.segment_len", Large(&mut config.files.segment_len)),
        ("files.preallocate", Large(&mut config.files.preallocate)),
        ("files.snapshots_kept", Size(&mut config.files.snapshots_kept)),
    ];
    let timing = &mut config.timing;
    fields.extend([
        ("timing.tick", Span(&mut timing.tick)),
        ("timing.init_limit", Middle(&mut timing.init_limit)),
        ("timing.sync_limit", Middle(&mut timing.sync_limit)),
        ("timing.finalize_wait", Span(&mut timing.finalize_wait)),
        ("timing.notification_min", Span(&mut timing.notification_min)),
        ("timing.notification_max", Span(&mut timing.notification_max)),
        ("timing.session_min", Span(&mut timing.session_min)),
        ("timing.session_max", Span(&mut timing.session_max)),
    ]);
    let limits = &mut config.limits;
    fields.extend([
        ("limits.data_len", Size(&mut limits.data_len)),
        ("limits.requests_per_client", Size(&mut limits.requests_per_client)),
        ("limits.outstanding", Size(&mut limits.outstanding)),
        ("limits.outstanding_len", Size(&mut limits.outstanding_len)),
        ("limits.portion", Large(&mut limits.portion)),
        ("limits.identities_per_client", Size(&mut limits.identities_per_client)),
        ("limits.watches_per_client", Size(&mut limits.watches_per_client)),
        ("limits.remembered_changes", Size(&mut limits.remembered_changes)),
        ("limits.log_window", Size(&mut limits.log_window)),
        ("limits.snapshot_every", Large(&mut limits.snapshot_every)),
        ("limits.snapshot_chunk", Size(&mut limits.snapshot_chunk)),
        ("limits.remembered_digests", Size(&mut limits.remembered_digests)),
        ("limits.last_counter", Middle(&mut limits.last_counter)),
    ]);
    for (names, latency) in [
        (["disk.min", "disk.spread", "disk.tail"], &mut config.disk_latency),
        (["lines.min", "lines.spread", "lines.tail"], &mut config.client_latency),
    ] {
        let Latency { min, spread, tail } = latency;
        fields.extend(names.into_iter().zip([Span(min), Span(spread), Chance(tail)]));
    }
    fields
}
