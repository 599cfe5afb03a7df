-- A dead letter that somebody has asked to be handled once more. It stays so until it is handled, or has failed again.
alter table dead_letters
    drop constraint dead_letters_state_check,
    add constraint dead_letters_state_check check (state in ('dead', 'redriving', 'parked'));
