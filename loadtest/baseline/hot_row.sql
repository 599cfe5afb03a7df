-- Everybody wants the same product: one row, one statement, one commit.

update stock set reserved = reserved + 1, version = version + 1 where product_id = 1 and on_hand - reserved >= 1;
