-- Shared by every script: the sentinel, numbering, places, trimming. Ids stay strings; numbers are for comparing only
-- (tostring of a number loses digits).
--
-- A timeline is a list of entries, newest first, each once. Behind them is the sentinel, 'floor:<floor>' when the
-- timeline is served, and 'b:<token>:<deadline ms>:<floor>' while somebody builds it. The list is complete above the
-- floor and says nothing at or below it.

-- The sentinel's name and the floor, both as strings; nil if the timeline is not kept. The version before kept sorted
-- sets under the same names: those are dropped.
local function sentinel(tl)
  local low = redis.pcall('LINDEX', tl, -1)
  if not low then return nil end
  if type(low) == 'table' then
    if not string.find(low.err, 'WRONGTYPE', 1, true) then error(low) end
    redis.call('DEL', tl)
    return nil
  end
  return string.match(low, '^(.-):(%d+)$')
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

-- The first entry that is not above an id, or else the sentinel; and its index. What is looked for is mostly near the
-- newest.
local function place(tl, id)
  local from, size = 0, 8
  while true do
    for at, entry in ipairs(redis.call('LRANGE', tl, from, from + size - 1)) do
      if (tonumber(entry) or 0) <= id then return entry, from + at - 1 end
    end
    from, size = from + size, 4 * size
  end
end

-- Put an entry above the floor where it belongs. Gives the new length, nil if it was there.
local function insert(tl, entry)
  local next_ = place(tl, tonumber(entry))
  if next_ == entry then return nil end
  return redis.call('LINSERT', tl, 'BEFORE', next_, entry)
end

-- Cut a timeline back to `kept` entries: the floor rises to the highest that goes, whose place the sentinel takes.
local function trim(tl, kept)
  if redis.call('LLEN', tl) - 1 <= kept then return end
  local name, cut = sentinel(tl), redis.call('LINDEX', tl, kept)
  redis.call('LSET', tl, kept, name .. ':' .. cut)
  redis.call('LTRIM', tl, 0, kept)
end

-- Add entries above the floor, newest first from `from` on in ARGV; lift the floor to `cut` if that is higher. What
-- comes of it is written behind the old list, which then goes: so the key keeps its lifetime.
local function fill(tl, name, floor, cut, from)
  local high = tonumber(cut) > tonumber(floor) and cut or floor
  local least, old, new, at = tonumber(high), redis.call('LRANGE', tl, 0, -2), {}, 1
  local function take(entry)
    if tonumber(entry) > least then new[#new + 1] = entry end
  end
  for i = from, #ARGV do
    while old[at] and tonumber(old[at]) > tonumber(ARGV[i]) do
      take(old[at])
      at = at + 1
    end
    if old[at] ~= ARGV[i] then take(ARGV[i]) end
  end
  for i = at, #old do take(old[i]) end
  new[#new + 1] = name .. ':' .. high
  redis.call('RPUSH', tl, unpack(new))
  redis.call('LTRIM', tl, #old + 1, -1)
end
