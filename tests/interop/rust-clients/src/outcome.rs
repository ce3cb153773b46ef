//! What a step gives, how it fails, and how it waits.

use std::error::Error;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

/// How long anything may take on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

pub type Failure = Box<dyn Error + Send + Sync>;
pub type Outcome<T = ()> = Result<T, Failure>;

/// Fails with the place and the words unless the condition holds.
macro_rules! hold {
    ($condition:expr, $($words:tt)+) => {
        if !$condition {
            return Err(format!("{}:{}: {}", file!(), line!(), format_args!($($words)+)).into());
        }
    };
}

/// Fails with both values unless they are equal.
macro_rules! same {
    ($got:expr, $wanted:expr, $($words:tt)+) => {
        match (&$got, &$wanted) {
            (got, wanted) => $crate::outcome::hold!(*got == *wanted, "{}: {got:?} instead of {wanted:?}", format_args!($($words)+)),
        }
    };
}

/// Fails unless the pattern matches.
macro_rules! matched {
    ($got:expr, $pattern:pat $(if $guard:expr)?, $($words:tt)+) => {
        match &$got {
            $pattern $(if $guard)? => {}
            got => $crate::outcome::hold!(false, "{}: {got:?}", format_args!($($words)+)),
        }
    };
}

/// The Stat of a node that was created a moment ago, with data of this length. The three clients have a type each for it.
macro_rules! same_as_new {
    ($stat:expr, $len:expr, $owner:expr) => {{
        let stat = &$stat;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis() as i64;
        $crate::outcome::hold!(
            stat.czxid > 0 && stat.czxid == stat.mzxid && stat.czxid == stat.pzxid,
            "zxids of {stat:?}"
        );
        $crate::outcome::hold!(
            stat.ctime == stat.mtime && (now - stat.ctime).abs() < 60_000,
            "times of {stat:?} at {now}"
        );
        hold!((stat.version, stat.cversion, stat.aversion) == (0, 0, 0), "versions of {stat:?}");
        hold!((stat.data_length, stat.num_children) == ($len, 0), "sizes of {stat:?}");
        $crate::outcome::hold!(stat.ephemeral_owner == $owner, "owner of {stat:?} is not {:#x}", $owner);
    }};
}

pub(crate) use {hold, matched, same, same_as_new};

/// A line of the timeline.
pub fn tell(words: impl std::fmt::Display) {
    println!("{:7.2} s  {words}", BEGAN.elapsed().as_secs_f64());
}

/// Gives the future's output, or fails after the deadline.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> Outcome<T> {
    timeout(DEADLINE, future).await.map_err(|_| format!("waited in vain until {what}").into())
}

/// Asks until there is an answer.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Outcome<Option<T>>) -> Outcome<T> {
    let asked = async {
        loop {
            if let Some(answer) = ask().await? {
                return Ok(answer);
            }
            sleep(POLL).await;
        }
    };
    within(what, asked).await?
}
