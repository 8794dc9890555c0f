-- Forgets the name of an op, and keeps a Bind of it away for a while: that may be on its way still, over another connection. The name of another op
-- stays as it is.
--
-- KEYS  name
-- ARGV  1 what says that it was unbound: tag, owner
--       2 for how long that is kept, ms
local call, name, unbound = redis.call, KEYS[1], ARGV[1]
local own = string.sub(unbound, 17, 50)
local known = call('HMGET', name, 'who', 'final')
for _, text in ipairs({known[1] or '', known[2] or ''}) do
  if text ~= '' and string.sub(text, 17, 50) ~= own then
    return 0
  end
end
call('UNLINK', name)
call('HSET', name, 'unbound', unbound)
call('PEXPIRE', name, ARGV[2])
return 1
