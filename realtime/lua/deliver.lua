-- Fan-out: add or remove entries in many timelines, and number each change for readers who are present.
-- KEYS[1]: any key of the bucket (routing only). ARGV: nonce, kept, trim_at, events_kept, ttl_ms,
-- then runs of operations, in order: op, entry, tweet, and the readers' tails (realtime/keys.py), parted by spaces.
--   '+' push: only into timelines that are kept; in the place of the tweet what else the reader is told. '-' unpush.
--   'f' the reader's follows changed.
-- Idempotent: an entry that is there already is neither added nor numbered.
local nonce, kept, trim_at, events_kept, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5]
local call, at, numbered = redis.call, 0, 0
for i = 6, #ARGV, 4 do
  local op, entry, tweet = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local id, added = tonumber(entry), '+:' .. entry
  for tail in string.gmatch(ARGV[i + 3], '%S+') do
    local tl = 'tl:' .. tail
    local payload = nil
    at = at + 1
    -- What is served has its floor at hand; only for the others the sentinel is looked at.
    local name, floor = 'floor', call('ZSCORE', tl, 'floor')
    if not floor then name, floor = sentinel(tl) end
    if not name then
      call('DEL', 'on:' .. tail)
    elseif op == 'f' then
      payload = 's:FOLLOWS_CHANGED'
    elseif op == '-' then
      call('ZREM', tl, entry)
      payload = '-:' .. entry .. ':' .. tweet
    elseif id <= tonumber(floor) then
      payload = 's:WINDOW_EXCEEDED'
    elseif call('ZADD', tl, entry, entry) == 1 then
      payload = added
      if call('ZCARD', tl) > trim_at + 1 then trim(tl, name, kept) end
    end
    if payload then
      local done, count = pcall(number, tail, nonce, at, payload, events_kept, ttl, payload == added and tweet)
      if not done then
        -- A cluster is moving this slot key by key. The call comes again, and must find the entry new again.
        if op == '+' then call('ZREM', tl, entry) end
        error(count)
      end
      numbered = numbered + count
    end
  end
end
return numbered
