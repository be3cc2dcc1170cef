use super::*;

#[test]
fn it_is_tried_again_later_and_later_but_not_too_late() {
    let [soonest, latest] = [[0; 16], [0xff; 16]];
    assert_eq!((AGAIN.ms(1, &soonest), AGAIN.ms(1, &latest)), (500, 1_000));
    assert_eq!((AGAIN.ms(4, &soonest), AGAIN.ms(4, &latest)), (4_000, 8_000));
    for attempt in [9, 10, 1_000, u32::MAX] {
        let pauses = (AGAIN.ms(attempt, &soonest), AGAIN.ms(attempt, &latest));
        assert!(pauses.0 >= 128_000 && pauses.1 <= AGAIN.ms_max, "{attempt}: {pauses:?}");
    }
}
