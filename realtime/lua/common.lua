-- Shared by every script: the sentinel, numbering, trimming. Ids stay strings; numbers are for comparing only
-- (tostring of a number loses digits).
--
-- The sentinel is the member with the lowest score of a timeline. Its score is the floor: the set is complete above it
-- and says nothing at or below it. Its name is 'floor' when the timeline is served, and 'b:<token>:<deadline ms>'
-- while somebody builds it.

-- The sentinel's name and the floor as a string; nil if the timeline is not kept.
local function sentinel(tl)
  local low = redis.call('ZRANGE', tl, 0, 0, 'WITHSCORES')
  return low[1], low[2]
end

-- Chain one event to the reader's stream, if the reader is present: (previous token, token) is its number. The token is
-- of the script's nonce and the event's place in it; made only here, since most readers are absent. `told` is in the
-- message alone: streams outlast the accounts of whom it names.
local function number(tail, nonce, at, payload, kept, ttl_ms, told)
  local on = 'on:' .. tail
  local prev = redis.call('HGET', on, 'last')
  if not prev then return 0 end
  local ev, token = 'ev:' .. tail, nonce .. '.' .. at
  redis.call('XADD', ev, 'MAXLEN', '~', kept, '*', 'p', prev, 't', token, 'd', payload)
  redis.call('PEXPIRE', ev, ttl_ms)
  redis.call('HSET', on, 'last', token)
  redis.call('SPUBLISH', 'live:' .. tail, prev .. ':' .. token .. ':' .. payload .. (told or ''))
  return 1
end

-- Cut a timeline back to `kept` entries; the floor rises to the highest that goes.
local function trim(tl, name, kept)
  local extra = redis.call('ZCARD', tl) - 1 - kept
  if extra <= 0 then return end
  local cut = redis.call('ZRANGE', tl, extra, extra, 'WITHSCORES')
  redis.call('ZREMRANGEBYRANK', tl, 0, extra)
  redis.call('ZADD', tl, cut[2], name)
end

-- Add entries above the floor, `from` to `to` in ARGV; then lift the floor to `cut` if that is higher.
local function fill(tl, name, floor, cut, from)
  local pairs_ = {}
  local high = tonumber(cut) > tonumber(floor) and cut or floor
  for i = from, #ARGV do
    if tonumber(ARGV[i]) > tonumber(high) then
      pairs_[#pairs_ + 1] = ARGV[i]
      pairs_[#pairs_ + 1] = ARGV[i]
    end
  end
  if #pairs_ > 0 then redis.call('ZADD', tl, unpack(pairs_)) end
  if high ~= floor then
    redis.call('ZREMRANGEBYSCORE', tl, '-inf', high)
    redis.call('ZADD', tl, high, name)
  end
end
