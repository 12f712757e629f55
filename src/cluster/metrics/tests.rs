use proptest::prelude::*;

use super::*;

/// As TiKV prints it, cut down; `scale` multiplies what was served.
fn tikv(start: u64, scale: u64) -> String {
    let mut text = String::from("# HELP tikv_grpc_msg_duration_seconds Bucketed histogram of grpc server messages\n");
    for (kind, under_5ms, under_50ms, all) in [("raw_get", 90, 99, 100), ("raw_put", 0, 50, 100), ("kv_gc", 7, 7, 7)] {
        let (low, middle, all) = (under_5ms * scale, under_50ms * scale, all * scale);
        for (le, count) in [("0.005", low), ("0.05", middle), ("0.5", all), ("+Inf", all)] {
            let labels = format!("type=\"{kind}\",priority=\"medium\",le=\"{le}\"");
            text += &format!("tikv_grpc_msg_duration_seconds_bucket{{{labels}}} {count}\n");
        }
        text += &format!("tikv_grpc_msg_duration_seconds_sum{{type=\"{kind}\",priority=\"medium\"}} 3.5\n");
        text += &format!("tikv_grpc_msg_duration_seconds_count{{type=\"{kind}\",priority=\"medium\"}} {all}\n");
    }
    text += &format!(
        "tikv_grpc_msg_fail_total{{type=\"raw_put\"}} {scale}\n\
         tikv_raftstore_append_log_duration_seconds_bucket{{le=\"0.001\"}} {scale}\n\
         tikv_raftstore_append_log_duration_seconds_bucket{{le=\"+Inf\"}} {scale}\n\
         tikv_raftstore_append_log_duration_seconds_count {scale}\n\
         tikv_server_report_failure_msg_total{{type=\"unreachable\",store_id=\"4\"}} {}\n\
         tikv_server_report_failure_msg_total{{type=\"unreachable\",store_id=\"5\"}} 7\n\
         tikv_raftstore_region_count{{type=\"leader\"}} 12\n\
         tikv_raftstore_region_count{{type=\"region\"}} 31\n\
         tikv_raftstore_slow_score{{type=\"raft\"}} 1\n\
         tikv_raftstore_slow_score{{type=\"kvdb\"}} 80\n\
         tikv_store_size_bytes{{type=\"available\"}} 1.48176371712e+11\n\
         tikv_store_size_bytes{{type=\"capacity\"}} 916976238592\n\
         process_resident_memory_bytes 123456\n\
         process_start_time_seconds {start}\n",
        scale * 10
    );
    text
}

fn reading(text: &str) -> Reading {
    Reading::parse(text).unwrap()
}

#[test]
fn a_first_reading_has_gauges_and_no_rates() {
    let first = reading(&tikv(1_769_700_000, 1)).since(None);
    assert_eq!((first.leaders, first.regions, first.slow_score), (Some(12), Some(31), Some(80.0)));
    assert_eq!((first.available, first.capacity, first.used), (Some(148_176_371_712), Some(916_976_238_592), None));
    assert_eq!((first.resident, first.process_start), (Some(123_456), Some(1_769_700_000.0)));
    assert_eq!((first.reads_per_s, first.writes_per_s, first.read), (None, None, None));
}

#[test]
fn rates_and_quantiles_are_over_the_time_between() {
    let (before, now) = (reading(&tikv(1, 1)), reading(&tikv(1, 5)));
    let figures = now.since(Some((&before, Duration::from_secs(2))));
    // Four hundred more of each; what is neither a read nor a write is left out.
    assert_eq!((figures.reads_per_s, figures.writes_per_s), (Some(200.0), Some(200.0)));
    assert_eq!(figures.failures_per_s, Some(2.0));
    let read = figures.read.unwrap();
    assert!((read.p50 - 0.005 * 50.0 / 90.0).abs() < 1e-9, "{read:?}");
    assert!((read.p99 - 0.05).abs() < 1e-9, "{read:?}");
    let write = figures.write.unwrap();
    assert!((write.p50 - 0.05).abs() < 1e-9 && (write.p99 - (0.05 + 0.45 * 0.98)).abs() < 1e-9, "{write:?}");
    assert!(figures.append.unwrap().p99 <= 0.001);
    assert_eq!(figures.commit, None, "nothing was served");
    assert_eq!(figures.unreachable_per_s, BTreeMap::from([(4, 20.0)]));
}

#[test]
fn after_a_restart_there_is_no_rate_until_the_next_reading() {
    let old = reading(&tikv(1, 5));
    for (start, scale) in [(2, 1), (2, 9), (1, 1)] {
        let figures = reading(&tikv(start, scale)).since(Some((&old, Duration::from_secs(1))));
        assert_eq!((figures.reads_per_s, figures.read, figures.failures_per_s), (None, None, None));
        assert_eq!(figures.leaders, Some(12));
    }
    let idle = old.since(Some((&old, Duration::from_secs(1))));
    assert_eq!((idle.reads_per_s, idle.read), (Some(0.0), None));
}

#[test]
fn only_what_the_raft_layer_refused_counts_as_refused() {
    let requests = |write, refused| {
        let of = |kind, status, count| {
            format!("tikv_storage_engine_async_request_total{{status=\"{status}\",type=\"{kind}\"}} {count}\n")
        };
        let text = [of("write", "all", write + refused), of("write", "success", write)].concat();
        let odd = of("write", "err_<b>", 7 * write);
        let text = text + &of("snapshot", "success", 99) + &of("snapshot", "err_not_leader", refused) + &odd;
        reading(&(text + "process_start_time_seconds 1\n"))
    };
    let second = Duration::from_secs(2);
    let figures = requests(30, 8).since(Some((&requests(10, 2), second)));
    assert_eq!((figures.successful_writes_per_s, figures.refused_per_s), (Some(10.0), Some(3.0)));
    assert_eq!(figures.refused_by_reason, BTreeMap::from([("err_not_leader".to_owned(), 3.0)]));
    let after_restart = requests(10, 2).since(Some((&requests(30, 8), second)));
    assert_eq!((after_restart.refused_per_s, after_restart.successful_writes_per_s), (None, None));
    let without = reading(&tikv(1, 5)).since(Some((&reading(&tikv(1, 1)), second)));
    assert_eq!(without.refused_per_s, None, "not counted is not none");
}

#[test]
fn writes_that_wait_are_those_begun_before_and_not_ended() {
    let requests = |begun, ended| {
        let of = |status, count| {
            format!("tikv_storage_engine_async_request_total{{status=\"{status}\",type=\"write\"}} {count}\n")
        };
        reading(&[of("all", begun), of("success", ended - 1), of("err_not_leader", 1)].concat())
    };
    let second = Duration::from_secs(1);
    let mut last = requests(100, 100);
    let mut waiting = |begun, ended| {
        let mut now = requests(begun, ended);
        let waits = now.since(Some((&last, second))).waiting_writes;
        now.follow(&last);
        last = now;
        waits
    };
    assert_eq!(waiting(150, 147), Some(0), "three that were begun just now");
    assert_eq!(waiting(214, 150), Some(0));
    assert_eq!(waiting(214, 150), Some(64), "for a second");
    assert_eq!(waiting(300, 298), Some(0), "they ended");

    // Two whose end is counted nowhere count as open for ever, and wait for nothing.
    let mut last = requests(100, 98);
    for count in [200, 300] {
        let mut now = requests(count, count - 2);
        assert_eq!(now.since(Some((&last, second))).waiting_writes, Some(0));
        now.follow(&last);
        last = now;
    }
    assert_eq!(reading(&tikv(1, 5)).since(Some((&reading(&tikv(1, 1)), second))).waiting_writes, None);
}

#[test]
fn a_quantile_above_the_last_bound_is_that_bound() {
    let histogram = Histogram { buckets: vec![(0.1, 0.0), (1.0, 0.0), (f64::INFINITY, 10.0)], count: 10.0 };
    assert_eq!(histogram.quantile(0.99), Some(1.0));
    let bare = Histogram { buckets: vec![(f64::INFINITY, 10.0)], count: 10.0 };
    assert_eq!(bare.quantile(0.5), Some(0.0));
}

#[test]
fn odd_lines_are_passed_over() {
    let text = "tikv_raftstore_region_count{type=\"leader\"} NaN\n\
                tikv_raftstore_region_count{type=\"region\"} +Inf\n\
                tikv_raftstore_slow_score\n\
                tikv_raftstore_slow_score{type=\"raft\"\n\
                tikv_raftstore_slow_score{type=\"a\\\"}=b\",x=\"y\"} 3 1769700000000\n\
                tikv_raftstore_region_count_total{type=\"leader\"} 5\n\
                process_resident_memory_bytes -1\n";
    let figures = reading(text).since(None);
    assert_eq!(figures, StoreMetrics { slow_score: Some(3.0), ..StoreMetrics::default() });
    assert_eq!(Reading::parse("go_goroutines 7\n"), Err("answered no metrics of TiKV".to_owned()));
}

#[test]
fn what_is_left_out_changes_nothing() {
    let text = format!("{}tikv_engine_size_bytes{{db=\"kv\"}} 7\n", tikv(1, 3));
    let kept = only_read(&text);
    assert!(kept.len() < text.len() && !kept.contains("engine") && !kept.contains("# HELP"));
    assert_eq!(reading(&kept), reading(&text));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(odd in "[ -~\n]{0,300}", cut in 0..2000_usize) {
        let whole = tikv(1, 2);
        let text = format!("{}{odd}", whole.get(..cut.min(whole.len())).unwrap_or_default());
        if let Ok(reading) = Reading::parse(&text) {
            reading.since(Some((&reading, Duration::from_secs(1))));
            let kept = Reading::parse(&only_read(&text));
            prop_assert_eq!(kept, Ok(reading));
        }
    }

    #[test]
    fn a_quantile_lies_in_its_bucket(counts in prop::collection::vec(0_u32..1000, 1..12), q in 0.0..=1.0_f64) {
        let mut total = 0.0;
        let mut buckets: Vec<(f64, f64)> = counts.iter().enumerate().map(|(at, count)| {
            total += f64::from(*count);
            (0.001 * 2_f64.powi(at as i32), total)
        }).collect();
        buckets.push((f64::INFINITY, total));
        let histogram = Histogram { buckets: buckets.clone(), count: total };
        let Some(found) = histogram.quantile(q) else {
            prop_assert_eq!(total, 0.0);
            return Ok(());
        };
        let at = buckets.iter().position(|(_, count)| *count >= q * total && *count > 0.0).unwrap();
        let lower = if at == 0 { 0.0 } else { buckets[at - 1].0 };
        let slack = 1e-12;
        prop_assert!(found >= lower - slack && found <= buckets[at].0 + slack, "{found} in {buckets:?}");
    }
}
