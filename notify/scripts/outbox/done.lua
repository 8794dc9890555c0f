-- Forgets a task.
-- ARGV  2 task
call('SREM', sent, ARGV[2])
return call('ZREM', due, ARGV[2])
