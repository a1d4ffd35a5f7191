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
    -- What is newer than all that is kept is new, and above the floor: nothing else is looked at.
    local newest = op == '+' and tonumber(redis.pcall('LINDEX', tl, 0))
    if newest and newest < id then
      payload = added
      if call('LPUSH', tl, entry) > trim_at + 1 then trim(tl, kept) end
    else
      local name, floor = sentinel(tl)
      if not name then
        call('DEL', 'on:' .. tail)
      elseif op == 'f' then
        payload = 's:FOLLOWS_CHANGED'
      elseif op == '-' then
        call('LREM', tl, 1, entry)
        payload = '-:' .. entry .. ':' .. tweet
      elseif id <= tonumber(floor) then
        payload = 's:WINDOW_EXCEEDED'
      else
        local length = insert(tl, entry)
        if length then payload = added end
        if length and length > trim_at + 1 then trim(tl, kept) end
      end
    end
    if payload then
      local done, count = pcall(number, tail, nonce, at, payload, events_kept, ttl, payload == added and tweet)
      if not done then
        -- A cluster is moving this slot key by key. The call comes again, and must find the entry new again.
        if op == '+' then call('LREM', tl, 1, entry) end
        error(count)
      end
      numbered = numbered + count
    end
  end
end
return numbered
