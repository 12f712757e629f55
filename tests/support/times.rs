//! How long each test takes, which the stable test runner does not print: from the test's first call of this library to the
//! end of its thread, as a line in the file that `TIKV_CHAOS_TEST_TIMES` names.

use std::{fs::OpenOptions, io::Write as _, thread, time::Instant};

struct Timed {
    test: Option<String>,
    start: Instant,
}

thread_local! {
    /// The runner gives each test a thread with the test's name.
    static TIMED: Timed = Timed { test: thread::current().name().map(str::to_owned), start: Instant::now() };
}

pub(crate) fn begin() {
    // A thread that is ending has been timed already.
    let _ = TIMED.try_with(|_| ());
}

impl Drop for Timed {
    fn drop(&mut self) {
        let Some(file) = std::env::var_os("TIKV_CHAOS_TEST_TIMES") else { return };
        let Some(test) = self.test.as_deref().filter(|name| *name != "main") else { return };
        let line = format!("{:.1}\t{test}\n", self.start.elapsed().as_secs_f32());
        let written = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&file)
            .and_then(|mut file| file.write_all(line.as_bytes()));
        if let Err(error) = written {
            eprintln!("the time of {test} is not recorded in {}: {error}", file.display());
        }
    }
}
