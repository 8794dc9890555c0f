-- Gives an op a name, unless another op that is open has it.
--
-- The op's own name gets new texts: the right of a Take stays, and a finished name stays finished. So a second run changes nothing.
--
-- KEYS  name
-- ARGV  1 who has it from now on: tag, owner, expiry
--       2 task, and 3 data; empty for none
--       4 for how long, ms
--       5 what may be replaced: it is not genuine, or its time has passed; empty for none
-- Returns what keeps the name from the op: the field, what it holds, and for "who" its task and data. "final" and "unbound" are the op's own, and
-- "final" is kept for so long. Nothing keeps it from the op: the name is bound.
local call, name, who, lasts = redis.call, KEYS[1], ARGV[1], ARGV[4]

-- Gives id and op, which are behind a tag.
local function owner(text)
  return text and string.sub(text, 17, 50)
end

local lease = ''
local left = call('PTTL', name) -- nothing of ours is without an end
local known = left < 0 and {} or call('HMGET', name, 'who', 'task', 'data', 'lease', 'final', 'unbound')
local held, final, unbound = known[1], known[5], known[6]
if held and owner(held) ~= owner(who) then
  if held ~= ARGV[5] then
    return {'who', held, known[2], known[3]}
  end
elseif not held and owner(final) == owner(who) and final ~= ARGV[5] then
  call('PEXPIRE', name, lasts)
  return {'final', final}
elseif not held and owner(unbound) == owner(who) and unbound ~= ARGV[5] then
  return {'unbound', unbound}
elseif held then
  local ends, turn = string.match(known[4] or '', '^(-?%d+) (%x+)$')
  if ends and tonumber(ends) < left then -- as far from now as before
    lease = string.format('%d %s', lasts - (left - ends), turn)
  end
end
call('HSET', name, 'who', who) -- first: a server without room refuses the first command of a script, and then nothing has changed
call('HDEL', name, 'task', 'data', 'lease', 'final', 'unbound')
for field, text in pairs({task = ARGV[2], data = ARGV[3], lease = lease}) do
  if text ~= '' then
    call('HSET', name, field, text)
  end
end
call('PEXPIRE', name, lasts)
return {}
